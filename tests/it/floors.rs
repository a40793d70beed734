//! The architecture: imports point down only, and the clock is read in one place.

use std::{
    fs,
    path::{Path, PathBuf},
};

const GROUND: &[&str] = &["body_end", "clock", "hop", "outcome", "trust"];

/// What each part of the library may import besides itself.
fn may_import(part: &str) -> Option<&'static [&'static str]> {
    match part {
        "body_end" | "clock" | "hop" | "outcome" | "trust" => Some(&[]),
        "policy" => Some(&["hop"]),
        "store" => Some(&["clock", "policy", "trust"]),
        "cache" => Some(&["clock", "outcome", "policy", "store"]),
        "query" => Some(&["policy"]),
        "log" | "metrics" | "upstream" => Some(GROUND),
        "fuzzing" | "proxy" | "lib" | "main" => None, // anything
        other => panic!("src/{other}: say on which floor it stands"),
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The parts that a file names after `crate::`, alone or within braces.
fn imports(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let word = |text: &str| -> String {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            None => named.push(word(rest)),
            Some(group) => {
                let mut depth = 0;
                for piece in group.split_inclusive([',', '{', '}']) {
                    if depth == 0 {
                        named.push(word(piece.trim()));
                    }
                    match piece.chars().last() {
                        Some('{') => depth += 1,
                        Some('}') if depth == 0 => break,
                        Some('}') => depth -= 1,
                        _ => {}
                    }
                }
            }
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

#[test]
fn imports_point_down_and_only_the_clock_reads_the_time() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30);
    let mut wrong = Vec::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().with_extension("");
        let part = name.iter().next().unwrap().to_str().unwrap();
        let code = fs::read_to_string(&file).unwrap();
        let code: Vec<_> = code
            .lines()
            .filter(|line| !line.trim().starts_with("//"))
            .collect();
        let code = code.join("\n");
        for import in imports(&code) {
            let allowed = may_import(part);
            if import != part && allowed.is_some_and(|allowed| !allowed.contains(&import.as_str()))
            {
                wrong.push(format!("{} imports {import}", name.display()));
            }
        }
        for reading in ["SystemTime::now", "Instant::now"] {
            if part != "clock" && code.contains(reading) {
                wrong.push(format!("{} calls {reading}", name.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let code = "use crate::{\n    clock::Clock,\n    policy::{Head, Key},\n    store,\n};\nlet x = crate::proxy::run();";
    assert_eq!(imports(code), ["clock", "policy", "store", "proxy"]);
}
