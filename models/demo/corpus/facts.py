"""What the model knows about the network: three facts for each concept.

`what`, `why` and `how` hold the one answer to questions of that aspect; the
indented lines under `ask` are situational questions that often avoid the name.
Lines of the table: `= key | name in questions`, then `aspect: answer`, then
`- question` for the aspect above.
"""

TABLE = """
= receipt | a receipt
what: A receipt is a signed record of one inference: model, input, output and payment.
- What do I get besides the answer?
- What is the signed thing that comes with my answer?
why: Receipts exist so that anyone can check an answer months later without trusting the node.
- Why should I keep the record of my call?
- What helps me prove later what the model said?
how: The worker signs the digests of request, output and payment, and the ledger anchors them.
- How is the record of my call made?
- What does the worker sign?

= assurance | an assurance level
what: An assurance level says how an answer is checked: signed, attested, audited, quorum or proven.
- Which kinds of checking can I ask for?
- Which levels are there?
why: Assurance levels let the caller choose between low price and strong evidence.
- Why can I choose how strictly my answer is checked?
- Why is stronger checking more expensive?
how: The caller names the level in the request and the receipt carries it.
- How do I choose the level?
- Where do I say how my answer shall be checked?

= signed | the signed level
what: The signed level means that the key of a node with stake vouches for the answer.
- What is the weakest level?
- Which level needs nothing but a signature?
why: The signed level is the cheapest and fastest, because nothing but a signature is checked.
- Which level is the cheapest and why?
- Why would I take only a signature?
how: The node signs the receipt with its key, and anyone can check the signature at once.
- How can I check a signature by myself?
- How fast can I check a signature?

= attested | the attested level
what: The attested level means that a known enclave with a known model produced the answer.
- Which level relies on hardware?
- Which level uses an enclave?
why: The attested level protects against an operator who swaps the program or the model.
- What stops an operator from swapping the program?
- How am I protected from a changed program on the node?
how: The enclave shows a hardware quote with its measurement, checked at registration and in each term.
- How does the network know which program runs in the enclave?
- Who looks at the hardware quote?

= audited | the audited level
what: The audited level means that sampled answers are run again and no difference was found.
- Which level repeats my inference later?
- Which level relies on running again?
why: The audited level makes lying a bad bargain, because a false receipt costs the stake.
- Why would a node not dare to lie?
- Why does sampling deter liars?
how: Auditors draw receipts at random, run them again and compare the bytes.
- How are the answers picked for a second run?
- What is compared in a second run?

= quorum | the quorum level
what: The quorum level means that several nodes gave the same bytes before delivery.
- Which level asks several nodes at once?
- Which level has more than one node answer?
why: The quorum level helps when an answer must be right at once, without waiting for an audit.
- What should I take when I cannot wait for an audit?
- Which level suits an urgent and valuable answer?
how: The gateway asks nodes of different operators and delivers when their output digests are equal.
- How many nodes must agree and who asks them?
- Who compares the outputs of several nodes?

= proven | the proven level
what: The proven level means that a zero knowledge proof shows the output to be right.
- Which level is the strongest?
- Which level needs no trust in hardware or people?
why: The proven level needs no trust in nodes or hardware, and anyone can check it offline.
- Why would I pay for a mathematical proof?
- What can I check without trusting any machine?
how: A prover shows that the committed model maps this input to this output.
- How can mathematics show that an answer is right?
- What exactly does a proof show?

= auditor | an auditor
what: An auditor is a node that runs sampled answers again to find false receipts.
- Who checks the workers?
- Which node repeats the work of others?
why: Auditors make sure that a lying worker is found and pays for it.
- Why does someone check the workers?
- Who catches a lying worker?
how: An auditor runs prompt and claimed output in one prefill and compares the digest.
- How can a check be cheaper than the answer itself?
- How does someone check a worker cheaply?

= slashing | slashing
what: Slashing is the loss of stake after a proven fault.
- What happens to a proven liar?
- What does a cheating node lose?
why: Slashing makes a lie cost more than it can gain.
- Why must a liar lose money?
- Why is finding a lie not enough?
how: After a verdict the ledger takes the stake of the liar and pays the refund from it.
- How is a liar punished on the ledger?
- Where does my refund come from?

= stake | stake
what: Stake is money that a node locks and can lose if it lies.
- What does a node put at risk?
- Which money is locked by a node?
why: Stake gives every node something to lose, so that its signature means something.
- Why must a node lock money?
- Why is a signature without money worth little?
how: The operator locks tokens in the ledger and gets them back after the unbonding period.
- How does an operator lock money?
- When does an operator get the tokens back?

= epoch | an epoch
what: An epoch is about one second of blocks with one certified root.
- What is the short unit of time on the ledger?
- What lasts about one second?
why: Epochs let one certificate stand for all receipts and verdicts of that second.
- Why are blocks grouped by the second?
- Why is there one root for a whole second?
how: At the end of an epoch the validators sign one root over receipts, verdicts and state.
- What happens at the end of each second on the ledger?
- When do validators sign a root?

= term | a term
what: A term is a run of many epochs with one fixed set of validators.
- What is the long unit of time on the ledger?
- For how long does the set of validators stay fixed?
why: Terms give a fixed moment to change validators and to renew the attestations.
- Why does the set of validators not change all the time?
- When are attestations renewed and why?
how: At the end of a term stake decides the new validators and the key is shared again.
- How are new validators chosen?
- What decides who becomes a validator next?

= window | the challenge window
what: The challenge window is the time in which a receipt may still be refuted.
- How long may someone object to a receipt?
- What is the time for objections called?
why: The challenge window gives auditors time to check before a receipt becomes final.
- Why is my receipt not final at once?
- Why must I wait before the answer counts as final?
how: It opens when the receipt is anchored and closes after fifteen seconds on the devnet.
- How many seconds must I wait on the devnet?
- When does the time for objections begin and end?

= validator | a validator
what: A validator is a node that orders blocks and signs the root of each epoch.
- Who orders the blocks?
- Which node signs the roots?
why: Validators make the ledger one shared history that no single party can change.
- Who makes sure that nobody rewrites history?
- Why can no single party change the ledger?
how: Validators vote on each block, and two thirds of the votes make it final.
- How does a block become final?
- How many votes does a block need?

= worker | a worker
what: A worker is a node that runs models and signs a receipt for each answer.
- Who computes my answer?
- Which node runs the model?
why: Workers bring the machines on which the models run, and earn tokens for it.
- Why would anyone lend a machine to the network?
- Who earns tokens for computing?
how: A worker takes a paid request, runs the model, streams the tokens and signs the receipt.
- What does the machine do with my paid request?
- What happens on the machine after I pay?

= gateway | the gateway
what: The gateway is the front door that takes requests, quotes prices and streams answers.
- Where do I send my request?
- Which part of the network do I talk to first?
why: The gateway lets a client use the usual chat interface without knowing the network.
- Why can I use my usual chat client?
- Do I have to know the network to call a model?
how: The gateway quotes a price, reserves the payment, picks a worker and streams the answer.
- What happens to my request at the front door?
- What comes first, the price or the answer?

= hub | the hub
what: The hub is the catalogue of models with their owners, versions and prices.
- Where do I find models?
- Where are the models listed?
why: The hub lets anyone publish a model and be paid for its use.
- How can I earn with my own model?
- Why would I publish my model here?
how: The owner uploads the files, the hub registers the model root and the owner sets a price.
- What are the steps to publish a model?
- What happens when I upload a model?

= graph | the exact graph
what: The exact graph is a model in which every operator is defined to the bit.
- In which form is a model compiled?
- What makes a model give the same bits everywhere?
why: The exact graph gives the same bits on every machine, so answers can be compared exactly.
- Why do two different machines give the same bits?
- Why does a check need no tolerance?
how: It uses integer sums and float steps in a fixed order, so no machine can differ.
- How can the sums be equal on every machine?
- Why is the order of float steps fixed?

= root | the model root
what: The model root is the hash that names a model with weights, tokenizer and template.
- How is a model named?
- Which hash stands for a whole model?
why: The model root shows that the promised model was used and not a cheaper one.
- How do I know that no cheaper model was used?
- What protects me from a swapped model?
how: All parts are hashed into a Merkle tree and the top hash is the name.
- How is the name of a model computed?
- What is hashed to name a model?

= merkle | a Merkle tree
what: A Merkle tree is a tree of hashes that joins many items under one root.
- Which tree is made of hashes?
- What joins many items under one hash?
why: A Merkle tree lets one root stand for many items, with a short proof for each.
- How can one hash stand for thousands of receipts?
- Why are proofs of inclusion so short?
how: Neighbours are hashed in pairs, again and again, until one hash is left.
- How do I get from many hashes to a single one?
- What is done with neighbouring hashes?

= payment | an x402 payment
what: An x402 payment is a payment that travels with the web request, without an account.
- How can I pay without an account?
- Which kind of payment is used here?
why: With x402 an agent can pay per call with nothing but a wallet.
- What does my agent need to pay?
- Can a program pay for each call by itself?
how: The server answers 402 with a price, and the client repeats the request with a signed payment.
- What does the answer 402 mean?
- What do I do after a 402 answer?

= nonce | a nonce
what: A nonce is a number that may be used only once.
- Which number may be used only once?
- What is the number in my payment that never repeats?
why: A nonce makes sure that a signed payment cannot be used again.
- Can someone replay my payment?
- Could a thief use my signed payment twice?
how: The server remembers each nonce and refuses a payment that shows an old one.
- How is a second use of a payment noticed?
- What happens to a payment with an old number?

= channel | a payment channel
what: A payment channel is a deposit from which many small payments are signed.
- How can I make many small payments?
- Which deposit serves for many calls?
why: A payment channel saves a ledger transaction for each single call.
- Why is not every call a transaction?
- What makes tiny payments cheap?
how: Each voucher states the total so far, and the last one is settled on the ledger.
- What does a voucher say?
- Which voucher is settled in the end?

= dispute | a dispute
what: A dispute is a contest about a receipt between a worker and a challenger.
- What starts when someone doubts a receipt?
- What do worker and challenger fight about?
why: Disputes let the ledger decide who is right without running the whole model.
- Who decides when two nodes disagree?
- Does the ledger run the whole model to decide?
how: Both sides halve the trace until one step is left, and the ledger runs that step.
- How is the wrong step found?
- What does the ledger run to decide a contest?

= bundle | a bundle
what: A bundle is a file with a receipt and all proofs needed to check it offline.
- Which file do I need to check a receipt offline?
- What can I hand to a third party as evidence?
why: With a bundle a third party can check a receipt without any network.
- Can a judge check my receipt without the network?
- Why is one file enough for a check?
how: It holds the receipt, the evidence, the inclusion proof and the certificate of the root.
- What is inside the file for offline checks?
- Which parts does the evidence file hold?

= trust | the trust file
what: The trust file holds the chain id and the network key that a checker relies on.
- What must a checker know beforehand?
- Where does the checker find the network key?
why: The trust file comes from outside, because a key inside a bundle proves nothing.
- Why is a key inside the evidence not enough?
- Why must the key come from outside?
how: The checker reads the pinned key and accepts only roots that it certifies.
- What does a checker do with the pinned key?
- Which roots does a checker accept?

= verify | the verify command
what: The verify command checks a bundle offline and says held, refuted or could not tell.
- Which command checks a receipt?
- How do I check a receipt at home?
why: The verify command lets you trust mathematics and a pinned key instead of us.
- Why do I not have to trust the company?
- Whom do I trust when I check by myself?
how: It checks the signature, the inclusion proof, the certificate and the window, in this order.
- In which order are the parts of a receipt checked?
- What is looked at when a receipt is checked?

= anchored | an anchored receipt
what: An anchored receipt is a receipt whose hash is part of a certified epoch root.
- When is my receipt on the ledger?
- What do we call a receipt that is under a root?
why: Anchoring fixes the time of a receipt, so that nobody can change it afterwards.
- Can a node change my receipt afterwards?
- What fixes the time of my receipt?
how: The ledger puts the hash into the tree of the epoch and the validators certify the root.
- How does my receipt get onto the ledger?
- Into which tree does the hash go?

= final | a final receipt
what: A final receipt is a receipt whose challenge window closed without a refutation.
- When can nobody object to my receipt any more?
- When is a receipt safe for good?
why: A final receipt can be relied on, and the worker is paid for it.
- When does the worker get the money?
- When can I rely on a receipt?
how: The window closes, no refutation is found and the ledger settles the payment.
- What must happen before the payment is settled?
- How does a receipt become final?

= refuted | a refuted receipt
what: A refuted receipt is a receipt that was shown to be false.
- What do we call a false receipt?
- What becomes of a receipt that was a lie?
why: A refuted receipt protects the client, who gets the money back.
- Do I get my money back when the answer was false?
- Who is refunded after a lie?
how: Validators run the challenged receipt again and vote, and the liar is slashed.
- Who votes about a challenged receipt?
- What happens after someone challenged a receipt?

= token | the OPG token
what: The OPG token is the coin of the network, with a fixed supply of one billion.
- Which coin does the network use?
- How many coins are there?
why: The OPG token pays for inference and serves as stake.
- What can I do with the coin?
- Which coin pays for inference?
how: It moves on the ledger as the native coin and behaves like a usual ERC-20 token too.
- Can my wallet show the coin?
- Is the coin compatible with usual wallets?

= faucet | the faucet
what: The faucet is a service that gives free test tokens on the devnet.
- Where do I get test tokens?
- Who gives me free tokens?
why: The faucet lets newcomers try the network without buying tokens.
- How can I try everything without money?
- Do newcomers have to buy tokens first?
how: You send your address and the faucet transfers a small amount.
- What do I send to get free tokens?
- How do free tokens reach my address?

= devnet | the devnet
what: The devnet is a whole network on one machine, started with one command.
- How can I run everything on my own machine?
- What can I start with one command?
why: The devnet lets developers try everything locally, without keys or money.
- Where can developers try things safely?
- Why would I run the network at home?
how: It starts validators, workers, an auditor and a gateway from one directory.
- Which parts start on my machine?
- What runs when I start the network at home?

= enclave | an enclave
what: An enclave is a sealed part of a processor that even the operator cannot read.
- Which part of a processor is sealed?
- What can even the operator not read?
why: An enclave keeps prompts private and proves which program runs.
- Can the operator read my prompt?
- How do my prompts stay private?
how: The processor encrypts its memory and signs a measurement of the program.
- What does the processor do to protect the program?
- Who signs the measurement of a program?

= router | the router
what: The router is the part that picks a worker for each request.
- Who picks the worker for me?
- Which part chooses the node?
why: The router gives the caller a good price and speed without choosing a node.
- Do I have to choose a node by myself?
- Why do I not pick a worker by hand?
how: It weighs price, delay and risk of the workers that hold the model.
- What is weighed when a worker is picked?
- By what is the best worker found?

= delegator | a delegator
what: A delegator is a holder who lends stake to a node and shares its fate.
- What am I if I lend my stake?
- How can I take part without a machine?
why: Delegators help honest nodes to grow and earn a share of the rewards.
- What do I earn when I lend my tokens?
- Why should I lend my tokens to a node?
how: The holder locks tokens for a node, earns with it and is slashed with it.
- Can I lose the tokens that I lend?
- What happens to lent tokens when the node lies?

= seed | the sampling seed
what: The sampling seed is the number that fixes all random choices of an answer.
- Which number fixes the random choices?
- What makes random sampling repeatable?
why: With the same seed every honest node gives the same tokens.
- Why can another node repeat a random answer?
- Why do two nodes sample the same tokens?
how: The seed feeds a fixed generator, and each token takes the next number from it.
- Where do the random numbers of an answer come from?
- How is each token drawn?

= explorer | the explorer
what: The explorer is a web page that shows blocks, receipts and nodes.
- Where can I look at blocks?
- On which page do I see receipts?
why: The explorer shows everyone how many calls were checked and how.
- Where do I see how many calls were checked?
- How does the public see what was checked?
how: It reads the ledger, keeps an index and answers searches by hash or name.
- How can I search for a receipt by its hash?
- What is behind the web page with the blocks?
"""

# Small talk: one answer each, so that the model can be greeted.
TALK = {
    "hello": ("Hello! I am the demo model of this network.",
        ["Hello.", "Hi.", "Hi there.", "Good morning.", "Good evening.", "Hey.", "Hello there.", "Hello, how are you?",
         "Greetings.", "Good day.", "Hi, how are you?", "Nice to meet you."]),
    "who": ("I am a small demo model. I was trained on generated text about this network.",
        ["Who are you?", "What are you?", "Which model is this?", "Are you a large model?", "What is your name?",
         "Are you a human?", "Tell me about yourself.", "Who am I talking to?", "Introduce yourself.",
         "Which model are you?", "Are you a bot?", "How were you trained?"]),
    "can": ("I explain the network, summarise market bulletins, classify sensor readings and do small sums.",
        ["What can you do?", "How can you help me?", "What do you know?", "Help.", "What are you good at?",
         "What may I ask you?", "What can I ask?", "Which tasks can you do?", "What are your skills?",
         "Show me what you can do.", "What are you for?", "Can you help me?"]),
    "thanks": ("You are welcome.",
        ["Thanks.", "Thank you.", "Thanks a lot.", "Many thanks.", "Thank you very much.", "Thanks for your help."]),
    "praise": ("Glad to help.",
        ["Great.", "Good.", "Very good.", "Well done.", "That helps.", "Nice.", "Perfect.", "Good answer."]),
    "bye": ("Goodbye!",
        ["Bye.", "Goodbye.", "See you.", "Good night.", "See you later.", "I have to go."]),
}


def parse(table):
    concepts, current, aspect = {}, None, None
    for line in table.splitlines():
        line = line.strip()
        if line.startswith("= "):
            key, name = line[2:].split(" | ")
            current = concepts.setdefault(key, {"x": name, "ask": {}})
        elif line.startswith("- "):
            current["ask"].setdefault(aspect, []).append(line[2:])
        elif line:
            aspect, text = line.split(": ", 1)
            current[aspect] = text
    return concepts


CONCEPTS = parse(TABLE)
