//! What signatures for OPG are bound to: this token, on this chain (EIP-712, EIP-5267).

use alloy_primitives::{Address, B256, Bytes, Signature, U256, b256, fixed_bytes, keccak256};

use super::{ADDRESS, IOPG, coin};
use crate::modules::{Frame, Method, Stop};

pub(super) const VERSION: Method =
    Method::view::<IOPG::versionCall>(|frame| frame.returns::<IOPG::versionCall>(&version()));
pub(super) const DOMAIN_SEPARATOR: Method = Method::view::<IOPG::DOMAIN_SEPARATORCall>(|frame| {
    let separator = separator(frame, ADDRESS)?;
    frame.returns::<IOPG::DOMAIN_SEPARATORCall>(&separator)
});
pub(super) const EIP712_DOMAIN: Method = Method::view::<IOPG::eip712DomainCall>(eip712_domain);

/// `keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")`.
const TYPE: B256 = b256!("8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f");

/// Of all of OPG's domains.
pub(in crate::modules) fn name() -> String {
    coin::name()
}

pub(in crate::modules) fn version() -> String {
    "1".to_owned()
}

fn eip712_domain(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let domain = IOPG::eip712DomainReturn {
        // Name, version, chain id and contract are in use; a salt is not.
        fields: fixed_bytes!("0f"),
        name: coin::name(),
        version: version(),
        chainId: U256::from(frame.chain_id()),
        verifyingContract: ADDRESS,
        salt: B256::ZERO,
        extensions: Vec::new(),
    };
    frame.returns::<IOPG::eip712DomainCall>(&domain)
}

/// The domain of one of OPG's faces.
fn separator(frame: &mut Frame<'_>, contract: Address) -> Result<B256, Stop> {
    let chain_id = U256::from(frame.chain_id()).to_be_bytes::<32>();
    let (name, version) = (keccak256(coin::name()), keccak256(version()));
    frame.hash(&[TYPE.as_slice(), name.as_slice(), version.as_slice(), &chain_id, contract.into_word().as_slice()])
}

/// Who signed these words of a typed struct, for OPG itself.
pub(super) fn signer(
    frame: &mut Frame<'_>,
    kind: B256,
    words: &[B256],
    signature: Option<Signature>,
) -> Result<Address, Stop> {
    let signer = signer_for(frame, ADDRESS, kind, words, signature)?;
    signer.ok_or_else(|| Stop::revert(&IOPG::InvalidSignature {}))
}

/// The same for one of OPG's faces; `None` where nobody can have signed.
pub(in crate::modules) fn signer_for(
    frame: &mut Frame<'_>,
    contract: Address,
    kind: B256,
    words: &[B256],
    signature: Option<Signature>,
) -> Result<Option<Address>, Stop> {
    let parts: Vec<&[u8]> = std::iter::once(kind.as_slice()).chain(words.iter().map(|word| word.as_slice())).collect();
    let content = frame.hash(&parts)?;
    let separator = separator(frame, contract)?;
    let digest = frame.hash(&[&[0x19, 0x01], separator.as_slice(), content.as_slice()])?;
    frame.recover(digest, signature)
}

/// A signature in three parts.
pub(in crate::modules) fn split(v: u8, r: B256, s: B256) -> Option<Signature> {
    let parity = match v {
        27 => false,
        28 => true,
        _ => return None,
    };
    Some(Signature::from_scalars_and_parity(r, s, parity))
}

/// A signature of 65 bytes: r, s, v.
pub(super) fn joined(bytes: &[u8]) -> Option<Signature> {
    let (rs, v) = bytes.split_at_checked(64)?;
    let (r, s) = rs.split_at_checked(32)?;
    let [v] = v else { return None };
    split(*v, B256::from_slice(r), B256::from_slice(s))
}

/// A number as a word of a typed struct.
pub(in crate::modules) fn word(number: U256) -> B256 {
    B256::from(number)
}
