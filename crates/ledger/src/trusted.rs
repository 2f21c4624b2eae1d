//! Whom and what a network trusts as it begins, and who may take that back at once.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use evm::modules::governance::{FoundTrust, Vendor};
use protocol::{Canonical, DecodeError, Digest, EvmAddress, List, Reader, Value, ValueError, record};
use thiserror::Error;

record! {
    /// A measurement that counts as long as its vendor is trusted.
    GenesisMeasurement {
        digest: Digest,
        /// As governance numbers vendors.
        vendor: u8,
    }
}
record! {
    /// What governance begins with, each part as its votes could have made it.
    GenesisTrust {
        /// Who may revoke, and nothing else; nobody where none is named.
        guardian: Option<EvmAddress>,
        /// As governance numbers them.
        vendors: List<u8, 16>,
        measurements: List<GenesisMeasurement, 1_024>,
    }
}

/// Why nothing can begin with what a genesis trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    #[error("the guardian is the address of nobody; hint: name none where there is to be none")]
    Guardian,
    #[error("vendor {0} is unknown or listed twice; hint: 1 to 4, as IGovernance numbers them")]
    Vendor(u8),
    #[error("measurement {0} is listed twice")]
    Measurement(Digest),
}

/// The part of a genesis that says it, which may be left out. It is the last one: one that is left out has no bytes at all, so that a
/// genesis without it is what it was before there was such a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstTrust(pub Option<GenesisTrust>);

impl Canonical for FirstTrust {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(trust) = &self.0 {
            trust.write(out);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.remaining() == 0 { Ok(Self(None)) } else { GenesisTrust::read(reader).map(|trust| Self(Some(trust))) }
    }
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Option::from_value(value).map(Self)
    }
}

impl FirstTrust {
    /// As the module is founded with it.
    ///
    /// # Errors
    /// A guardian that is nobody; a vendor that is unknown; what is listed twice.
    pub(crate) fn found(&self) -> Result<FoundTrust, TrustError> {
        self.0.as_ref().map_or_else(|| Ok(FoundTrust::default()), GenesisTrust::found)
    }
}

impl GenesisTrust {
    fn found(&self) -> Result<FoundTrust, TrustError> {
        let guardian = self.guardian.map_or(Address::ZERO, |guardian| Address::from(guardian.0));
        if self.guardian.is_some() && guardian.is_zero() {
            return Err(TrustError::Guardian);
        }
        let (mut vendors, mut seen) = (Vec::new(), BTreeSet::new());
        for number in self.vendors.iter() {
            let known = vendor(*number)?;
            if !seen.insert(*number) {
                return Err(TrustError::Vendor(*number));
            }
            vendors.push(known);
        }
        let (mut measurements, mut seen) = (Vec::new(), BTreeSet::new());
        for measurement in self.measurements.iter() {
            if !seen.insert(measurement.digest) {
                return Err(TrustError::Measurement(measurement.digest));
            }
            measurements.push((B256::from(measurement.digest.0), vendor(measurement.vendor)?));
        }
        Ok(FoundTrust { guardian, vendors, measurements })
    }
}

fn vendor(number: u8) -> Result<Vendor, TrustError> {
    Vendor::of_number(number).ok_or(TrustError::Vendor(number))
}
