//! Which measurements and which makers of hardware the network trusts. Votes give and take; the guardian only takes.

use alloy_primitives::{Address, B256, Bytes, U256, b256};
use alloy_sol_types::SolEvent as _;

use super::{ADDRESS, IGovernance, slots};
use crate::modules::layout::{List, Reader, Writer};
use crate::modules::{Frame, Method, Stop, SystemCall};

pub(super) const REVOKE_MEASUREMENT: Method =
    Method::write::<IGovernance::revokeMeasurementCall>(guardian_revokes_measurement);
pub(super) const REVOKE_VENDOR: Method = Method::write::<IGovernance::revokeVendorCall>(guardian_revokes_vendor);

/// `aws.nitro-enclaves`, Root-G1, to 2049.
const AWS_NITRO_ROOTS: &[B256] = &[b256!("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")];
/// ARK-Genoa, to 2047, and ARK-Turin, to 2048. None of Milan, whose keys can be read out (arXiv 2605.12990).
const AMD_SEV_SNP_ROOTS: &[B256] = &[
    b256!("4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
    b256!("1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
];
/// Intel SGX Root CA, which TDX's quotes lead to as well.
const INTEL_TDX_ROOTS: &[B256] = &[b256!("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3")];
/// NVIDIA Device Identity CA, without an end.
const NVIDIA_ROOTS: &[B256] = &[b256!("102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48")];

/// A maker of hardware whose root certificates are constants of the protocol: no vote can add another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    AwsNitro,
    AmdSevSnp,
    IntelTdx,
    Nvidia,
}

impl Vendor {
    pub const ALL: &'static [Self] = &[Self::AwsNitro, Self::AmdSevSnp, Self::IntelTdx, Self::Nvidia];

    /// SHA-256 of the root certificates in DER that the maker publishes for its hardware.
    pub const fn roots(self) -> &'static [B256] {
        match self {
            Self::AwsNitro => AWS_NITRO_ROOTS,
            Self::AmdSevSnp => AMD_SEV_SNP_ROOTS,
            Self::IntelTdx => INTEL_TDX_ROOTS,
            Self::Nvidia => NVIDIA_ROOTS,
        }
    }

    /// As the interface numbers them.
    pub const fn number(self) -> u8 {
        match self {
            Self::AwsNitro => 1,
            Self::AmdSevSnp => 2,
            Self::IntelTdx => 3,
            Self::Nvidia => 4,
        }
    }

    /// As people call them.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AwsNitro => "aws-nitro",
            Self::AmdSevSnp => "amd-sev-snp",
            Self::IntelTdx => "intel-tdx",
            Self::Nvidia => "nvidia",
        }
    }

    /// The vendor of this number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|vendor| vendor.number() == number)
    }

    pub(super) fn numbered(number: U256) -> Result<Self, Stop> {
        let found = u8::try_from(number).ok().and_then(Self::of_number);
        found.ok_or_else(|| Stop::revert(&IGovernance::VendorUnknown { vendor: number }))
    }
}

/// What a network trusts as it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundTrust {
    pub guardian: Address,
    pub vendors: Vec<Vendor>,
    pub measurements: Vec<(B256, Vendor)>,
}

impl SystemCall for FoundTrust {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            if !self.guardian.is_zero() {
                set_guardian(frame, self.guardian)?;
            }
            self.vendors.iter().try_for_each(|vendor| accept_vendor(frame, *vendor))?;
            self.measurements.iter().try_for_each(|(measurement, vendor)| accept(frame, *measurement, *vendor))
        })
    }
}

/// Vendor number and whether it is accepted; zero for one that never was.
pub(super) fn measurement(frame: &mut Frame<'_>, measurement: B256) -> Result<(u8, bool), Stop> {
    let slot = frame.mapping(slots::MEASUREMENTS, measurement)?;
    let mut word = Reader(frame.load(slot)?);
    Ok((word.u8(), word.flag()))
}

pub(super) fn trusts_vendor(frame: &mut Frame<'_>, vendor: u8) -> Result<bool, Stop> {
    let slot = frame.mapping(slots::VENDORS, U256::from(vendor).into())?;
    Ok(!frame.load(slot)?.is_zero())
}

pub(super) fn must_be_accepted(frame: &mut Frame<'_>, digest: B256) -> Result<(), Stop> {
    let (_, accepted) = measurement(frame, digest)?;
    if accepted { Ok(()) } else { Err(Stop::revert(&IGovernance::NotTrusted { subject: digest })) }
}

pub(super) fn vendor_must_be_accepted(frame: &mut Frame<'_>, vendor: Vendor) -> Result<(), Stop> {
    if trusts_vendor(frame, vendor.number())? {
        return Ok(());
    }
    Err(Stop::revert(&IGovernance::NotTrusted { subject: U256::from(vendor.number()).into() }))
}

pub(super) fn accept(frame: &mut Frame<'_>, digest: B256, vendor: Vendor) -> Result<(), Stop> {
    if measurement(frame, digest)?.0 == 0 {
        List(slots::MEASUREMENT_LIST).push(frame, digest.into())?;
    }
    let slot = frame.mapping(slots::MEASUREMENTS, digest)?;
    frame.store(slot, Writer::default().u8(vendor.number()).flag(true).word())?;
    let event = IGovernance::MeasurementAccepted { measurement: digest, vendor: vendor.number() };
    frame.log(event.encode_log_data())
}

pub(super) fn revoke(frame: &mut Frame<'_>, digest: B256) -> Result<(), Stop> {
    must_be_accepted(frame, digest)?;
    let (vendor, _) = measurement(frame, digest)?;
    let slot = frame.mapping(slots::MEASUREMENTS, digest)?;
    frame.store(slot, Writer::default().u8(vendor).flag(false).word())?;
    frame.log(IGovernance::MeasurementRevoked { measurement: digest, by: frame.caller() }.encode_log_data())
}

pub(super) fn accept_vendor(frame: &mut Frame<'_>, vendor: Vendor) -> Result<(), Stop> {
    let slot = frame.mapping(slots::VENDORS, U256::from(vendor.number()).into())?;
    frame.store(slot, U256::ONE)?;
    frame.log(IGovernance::VendorAccepted { vendor: vendor.number() }.encode_log_data())
}

pub(super) fn revoke_vendor(frame: &mut Frame<'_>, vendor: Vendor) -> Result<(), Stop> {
    vendor_must_be_accepted(frame, vendor)?;
    let slot = frame.mapping(slots::VENDORS, U256::from(vendor.number()).into())?;
    frame.store(slot, U256::ZERO)?;
    frame.log(IGovernance::VendorRevoked { vendor: vendor.number(), by: frame.caller() }.encode_log_data())
}

pub(super) fn guardian(frame: &mut Frame<'_>) -> Result<Address, Stop> {
    Ok(Address::from_word(frame.load(slots::GUARDIAN)?.into()))
}

pub(super) fn set_guardian(frame: &mut Frame<'_>, to: Address) -> Result<(), Stop> {
    let before = guardian(frame)?;
    frame.store(slots::GUARDIAN, to.into_word().into())?;
    frame.log(IGovernance::GuardianSet { before, guardian: to }.encode_log_data())
}

fn must_be_guardian(frame: &mut Frame<'_>) -> Result<(), Stop> {
    let (caller, guardian) = (frame.caller(), guardian(frame)?);
    if caller == guardian { Ok(()) } else { Err(Stop::revert(&IGovernance::GuardianOnly { caller, guardian })) }
}

fn guardian_revokes_measurement(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::revokeMeasurementCall>()?;
    must_be_guardian(frame)?;
    revoke(frame, call.measurement)?;
    Ok(Bytes::new())
}

fn guardian_revokes_vendor(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::revokeVendorCall>()?;
    must_be_guardian(frame)?;
    revoke_vendor(frame, Vendor::numbered(U256::from(call.vendor))?)?;
    Ok(Bytes::new())
}
