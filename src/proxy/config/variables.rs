//! The environment, and what is said of a value that is refused.

use std::ffi::OsString;

use super::{Misuse, value::Parsed};

/// The environment.
pub(super) struct Variables<'a>(pub(super) &'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    /// The value of a setting: its flag's, or its variable's, where an empty one counts for none.
    pub(super) fn choose<T>(
        &self,
        flag: (&str, Option<String>),
        variable: &str,
        parse: fn(&str) -> Parsed<T>,
    ) -> Result<Option<T>, Misuse> {
        let refuse = |name: &str, value: &str, accepted: &str| {
            let value = without_secrets(value);
            Misuse(format!(
                "{name} does not accept {value:?}: it takes {accepted}."
            ))
        };
        if let (name, Some(value)) = flag {
            return parse(&value)
                .map(Some)
                .map_err(|accepted| refuse(name, &value, accepted));
        }
        let Some(value) = (self.0)(variable).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let value = value
            .into_string()
            .map_err(|value| refuse(variable, &value.to_string_lossy(), "valid UTF-8"))?;
        parse(&value)
            .map(Some)
            .map_err(|accepted| refuse(variable, &value, accepted))
    }
}

/// A value as it may be shown: without the user, the password and the parameters of a URL.
fn without_secrets(value: &str) -> String {
    let scheme = value.find("://").map(|at| at + 3);
    let end = scheme.and_then(|_| value.find('?')).unwrap_or(value.len());
    let (shown, parameters) = value.split_at(end);
    let parameters = if parameters.is_empty() { "" } else { "?***" };
    match shown.rfind('@') {
        Some(at) => {
            let scheme = &shown[..scheme.unwrap_or_default().min(at)];
            format!("{scheme}***{}{parameters}", &shown[at..])
        }
        None => format!("{shown}{parameters}"),
    }
}
