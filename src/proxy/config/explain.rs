//! `larder explain URL`: its arguments.

use argh::FromArgs;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::{
    Config, Misuse,
    args::{self, Args},
    misread,
    variables::Variables,
};
use crate::proxy::{origin::Origin, target::Targets};

/// What to fetch and explain.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The settings that larder would have; the URL's host is its origin.
    pub config: Config,
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub uri: Uri,
    /// The header fields to send.
    pub headers: HeaderMap,
}

#[derive(FromArgs)]
#[argh(
    help_triggers("-h", "--help"),
    description = "Fetches a URL once, and tells whether larder would store the response, for how \
                   long, under which key, and why, rule by rule. No server is started.",
    note = "The settings are those of larder itself, with their variables: see larder --help.",
    example = "larder explain https://api.example.com/products -H 'Accept-Language: en' --ttl 300",
    error_code(1, "The URL could not be fetched."),
    error_code(2, "An argument is missing, or has a value that is not accepted.")
)]
struct Given {
    /// the whole URL, http or https
    #[argh(positional)]
    url: Option<String>,
    /// a header field to send, like 'Accept-Language: en'; repeatable
    #[argh(option, short = 'H', arg_name = "field")]
    header: Vec<String>,
    /// the method, default GET
    #[argh(option, arg_name = "name")]
    method: Option<String>,
    /// lifetime in seconds of responses that state none, and the longest that any lives; or
    /// "origin": only what the origin says [CACHE_TTL]
    #[argh(option, arg_name = "seconds")]
    ttl: Option<String>,
    /// seconds for which a stale response is served while it is fetched anew
    /// [STALE_WHILE_REVALIDATE]
    #[argh(option, arg_name = "seconds")]
    stale_while_revalidate: Option<String>,
    /// seconds for which a stale response stands in for an origin that fails [STALE_IF_ERROR]
    #[argh(option, arg_name = "seconds")]
    stale_if_error: Option<String>,
    /// larger responses are not stored [CACHE_MAX_OBJECT]
    #[argh(option, arg_name = "size")]
    max_object: Option<String>,
    /// seconds to wait for the response [UPSTREAM_TIMEOUT]
    #[argh(option, arg_name = "seconds")]
    timeout: Option<String>,
    /// proxy to fetch through, or "env" [UPSTREAM_PROXY]
    #[argh(option, arg_name = "url")]
    upstream_proxy: Option<String>,
    /// PEM file of further roots for TLS [TLS_CA]
    #[argh(option, arg_name = "file")]
    tls_ca: Option<String>,
}

/// Reads what comes after `larder explain`. `Err` with no misuse is help to print.
pub(super) fn read(
    argv: Vec<String>,
    env: &Variables<'_>,
) -> Result<Inquiry, Result<String, Misuse>> {
    let argv: Vec<String> = argv.into_iter().flat_map(args::split).collect();
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let given = Given::from_args(&["larder", "explain"], &argv)
        .map_err(|early| misread(early, "larder explain --help"))?;
    choose(given, env).map_err(Err)
}

fn choose(given: Given, env: &Variables<'_>) -> Result<Inquiry, Misuse> {
    let url = given.url.unwrap_or_default();
    if !url.contains("://") {
        return Err(Misuse(
            "larder explain needs a whole URL, like https://api.example.com/products.".to_owned(),
        ));
    }
    let args = Args {
        ttl: given.ttl,
        stale_while_revalidate: given.stale_while_revalidate,
        stale_if_error: given.stale_if_error,
        max_object: given.max_object,
        timeout: given.timeout,
        upstream_proxy: given.upstream_proxy,
        tls_ca: given.tls_ca,
        ..Args::default()
    };
    let mut config = Config::choose(args, env)?;
    let uri = Targets::new(&config).name(&url);
    let uri = uri.map_err(|error| Misuse(error.message.into_owned()))?;
    // The operator names it, as with --origin: it may be at a private address.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
    let origin = Origin::parse(&origin);
    config.origin = Some(origin.map_err(|accepted| Misuse(format!("The URL takes {accepted}.")))?);
    let method = given.method.unwrap_or_else(|| "GET".to_owned());
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| Misuse("--method takes a name like GET, HEAD or POST.".to_owned()))?;
    let mut headers = HeaderMap::new();
    for line in given.header {
        let (name, value) = field(&line)?;
        headers.append(name, value);
    }
    Ok(Inquiry {
        config,
        method,
        uri,
        headers,
    })
}

/// A field line. What is refused is not repeated: it may be secret.
fn field(line: &str) -> Result<(HeaderName, HeaderValue), Misuse> {
    let read = || {
        let (name, value) = line.split_once(':')?;
        let value = HeaderValue::from_str(value.trim()).ok()?;
        Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value))
    };
    match read() {
        Some((header::HOST, _)) => Err(Misuse("The Host is that of the URL.".to_owned())),
        Some(field) => Ok(field),
        None => Err(Misuse(
            "-H takes a field like 'Accept-Language: en'.".to_owned(),
        )),
    }
}
