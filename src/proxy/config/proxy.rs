//! The proxy that larder fetches through: one that is named, or those that the environment names
//! for whoever wants them. larder wants them only where it is told so.

use super::{Misuse, value::Parsed, variables::Variables};
use crate::upstream::{Proxies, ProxyUrl};

/// What was chosen.
enum Chosen {
    Url(ProxyUrl),
    Environment,
}

pub(super) fn choose(flag: Option<String>, env: &Variables<'_>) -> Result<Proxies, Misuse> {
    let chosen = env.choose(("--upstream-proxy", flag), "UPSTREAM_PROXY", read)?;
    match chosen {
        None => Ok(Proxies::default()),
        Some(Chosen::Url(proxy)) => Ok(Proxies::all(proxy)),
        Some(Chosen::Environment) => {
            let all = either(env, ["ALL_PROXY", "all_proxy"], ProxyUrl::parse)?;
            let http = either(env, ["HTTP_PROXY", "http_proxy"], ProxyUrl::parse)?;
            let https = either(env, ["HTTPS_PROXY", "https_proxy"], ProxyUrl::parse)?;
            let except = either(env, ["NO_PROXY", "no_proxy"], |text| Ok(text.to_owned()))?;
            let (http, https) = (http.or(all.clone()), https.or(all));
            Ok(Proxies::by_scheme(http, https, &except.unwrap_or_default()))
        }
    }
}

const ACCEPTED: &str = "an http URL like http://proxy.example:3128, with user:password@ where it \
                        asks for them, or the word env";

fn read(text: &str) -> Parsed<Chosen> {
    match text {
        "env" => Ok(Chosen::Environment),
        // A host alone is more likely a word that was misspelt.
        _ if !text.contains([':', '.']) => Err(ACCEPTED),
        _ => ProxyUrl::parse(text).map(Chosen::Url).map_err(|_| ACCEPTED),
    }
}

/// The value of the first of these variables that is there.
fn either<T>(
    env: &Variables<'_>,
    names: [&str; 2],
    parse: fn(&str) -> Parsed<T>,
) -> Result<Option<T>, Misuse> {
    for name in names {
        let found = env.choose(("", None), name, parse)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
