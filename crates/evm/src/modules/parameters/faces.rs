//! What anyone may read.

use alloy_primitives::{B256, Bytes, U256};

use super::{IParameters, Parameter, TABLE};
use crate::modules::{Frame, Method, Stop};

pub(super) const VALUE: Method = Method::view::<IParameters::valueCall>(value);
pub(super) const PARAMETER: Method = Method::view::<IParameters::parameterCall>(parameter);
pub(super) const PARAMETERS: Method = Method::view::<IParameters::parametersCall>(parameters);
pub(super) const SINCE: Method = Method::view::<IParameters::sinceCall>(since);

fn value(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IParameters::valueCall>()?;
    let value = named(call.name)?.value(frame)?;
    frame.returns::<IParameters::valueCall>(&U256::from(value))
}

fn parameter(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IParameters::parameterCall>()?;
    let told = told(frame, named(call.name)?)?;
    frame.returns::<IParameters::parameterCall>(&told)
}

fn parameters(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    frame.arguments::<IParameters::parametersCall>()?;
    let all: Vec<_> = TABLE.iter().map(|parameter| told(frame, parameter)).collect::<Result<_, _>>()?;
    frame.returns::<IParameters::parametersCall>(&all)
}

fn since(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IParameters::sinceCall>()?;
    let since = named(call.name)?.since(frame)?;
    frame.returns::<IParameters::sinceCall>(&since)
}

fn named(name: B256) -> Result<&'static Parameter, Stop> {
    Parameter::named(name).ok_or_else(|| Stop::revert(&IParameters::ParameterUnknown { name }))
}

fn told(frame: &mut Frame<'_>, parameter: &Parameter) -> Result<IParameters::Parameter, Stop> {
    let (least, most) = (U256::from(parameter.least), U256::from(parameter.most));
    let value = U256::from(parameter.value(frame)?);
    Ok(IParameters::Parameter { name: parameter.key(), value, least, most })
}
