//! The description of the API names what there is, and nothing else: codes of errors, and numbers.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::support::proxy::Larder;

fn source(file: &str) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proxy");
    fs::read_to_string(src.join(file)).unwrap()
}

fn description() -> Value {
    serde_json::from_str(&source("openapi.json")).unwrap()
}

/// The codes that errors are made with: a literal after a status, or after what implies one.
fn codes(code: &str) -> Vec<String> {
    let pieces: Vec<&str> = code.split('"').collect();
    let mut found = Vec::new();
    for pair in pieces.windows(2) {
        let (before, literal) = (pair[0].trim_end(), pair[1]);
        let word = before.trim_end_matches(',').rsplit([' ', '(', '\n']).next();
        let word = word.unwrap_or_default();
        let after_status = before.ends_with(',')
            && (word.contains("StatusCode::") || word == "status" || word == "head.status");
        let implied = before.ends_with("bad_request(") || before.ends_with("forbidden(");
        let plain = literal.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if plain && (after_status || implied) {
            found.push(literal.to_owned());
        }
    }
    found
}

#[test]
fn every_code_is_described_and_every_described_code_is_there() {
    let mut found = BTreeSet::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proxy");
    for entry in fs::read_dir(src).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".rs") {
            let source = source(&name);
            let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            found.extend(codes(code));
        }
    }
    assert!(found.contains("upstream_broken") && found.contains("missing_url"));
    let described = &description()["components"]["schemas"]["Error"]["properties"]["code"]["enum"];
    let described = described.as_array().unwrap().iter();
    let described: BTreeSet<String> = described
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, described);
}

#[tokio::test]
async fn every_number_is_described_and_every_described_number_is_there() {
    let larder = Larder::start(&[]).await;
    let figures = larder.get("/metrics").await.json();
    let names = |object: &Value| -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    let response = &description()["paths"]["/metrics"]["get"]["responses"]["200"];
    let schema = &response["content"]["application/json"]["schema"];
    let mut described = names(&schema["properties"]["metrics"]["properties"]);
    // Those of Redis are there where Redis is.
    let backend = source("backend.rs");
    described.retain(|name| {
        let of_redis = name.starts_with("redis_");
        assert!(
            !of_redis || backend.contains(&format!("\"{name}\"")),
            "{name}"
        );
        !of_redis
    });
    assert_eq!(names(&figures["metrics"]), described);
}
