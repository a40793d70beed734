//! A short run without a fuzzer: the corpus, and what is one or a few changes away from it.

use std::{fs, path::Path};

use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

/// How often each seed is changed.
const CHANGES: usize = 200;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let Ok(files) = fs::read_dir(folder.join(target)) else {
        return Vec::new();
    };
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Replaces, inserts, removes or repeats something, or joins two seeds.
fn change(seed: &[u8], other: &[u8], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random(4) {
        let at = random(bytes.len() + 1);
        let end = (at + random(8)).min(bytes.len());
        match random(5) {
            0 if at < bytes.len() => bytes[at] = random(256) as u8,
            1 => bytes.insert(at, random(256) as u8),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => {
                let from = random(other.len() + 1);
                let until = (from + random(24)).min(other.len());
                drop(bytes.splice(at..end, other[from..until].iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn nothing_is_found_near_the_corpus() {
    use proptest::prelude::Rng;
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut random = move |below: usize| (rng.next_u64() % below as u64) as usize;
    for (name, target) in TARGETS {
        let seeds = corpus(name);
        assert!(seeds.len() >= 3, "{name} has no corpus");
        target(b"");
        for seed in &seeds {
            target(seed);
            for _ in 0..CHANGES {
                let other = &seeds[random(seeds.len())];
                target(&change(seed, other, &mut random));
            }
        }
    }
}

#[test]
fn every_target_is_one_of_the_fuzzers_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let cargo = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(cargo.contains(&format!("name = \"{name}\"")), "{name}");
        let file = folder.join(format!("fuzz_targets/{name}.rs"));
        let code = fs::read_to_string(file).unwrap();
        assert!(
            code.contains(&format!("larder::fuzzing::{name}(data)")),
            "{name}"
        );
    }
}
