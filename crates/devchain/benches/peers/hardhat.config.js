// As it comes: chain 31337, a block for each transaction, twenty funded keys.
export default {};
