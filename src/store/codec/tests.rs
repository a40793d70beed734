//! Tests of the codec: what comes back is what went in, and nothing else comes back.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use proptest::{collection::vec, option, prelude::*};

use super::{chunks::Token, *};
use crate::{
    policy::{Fields, Lifetime, Rule},
    store::{Payload, payload::Verdict, reading},
};

const SEEN: Seen = Seen {
    number: 5,
    nonce: 9,
    ..Seen::NOTHING
};

fn encode(entry: &Entry) -> Bytes {
    let data = entry.body.data().unwrap();
    encode_response(&key(), entry, data, None, SEEN)
}

/// The record in these bytes, if it has no rest elsewhere.
fn read(key: &Key, bytes: &Bytes) -> Result<Record, Damage> {
    decode(key, bytes, |_, _, _| Err(Damage::Rest))
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    // Few names, so that some repeat; any byte that a field value may have.
    let name = prop_oneof!["x-[a-c]", "[a-z][a-z0-9-]{0,20}"];
    let value = vec(prop_oneof![32u8..=126, 128u8..=255, Just(b'\t')], 0..40);
    vec((name, value), 0..12).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        map
    })
}

fn stored_head() -> impl Strategy<Value = StoredHead> {
    let version = prop_oneof![
        Just(Version::HTTP_10),
        Just(Version::HTTP_11),
        Just(Version::HTTP_2),
        Just(Version::HTTP_3)
    ];
    let source = prop_oneof![
        Just(Source::None),
        Just(Source::SharedMaxAge),
        Just(Source::MaxAge),
        Just(Source::Expires),
        Just(Source::Heuristic),
        Just(Source::Configured)
    ];
    let received = (0u64..1 << 40, 0u32..1_000_000_000);
    let seconds = || any::<u64>().prop_map(Duration::from_secs);
    (
        100u16..1000,
        version,
        headers(),
        received,
        seconds(),
        seconds(),
        source,
    )
        .prop_map(
            |(status, version, headers, (secs, nanos), initial_age, duration, source)| StoredHead {
                status: StatusCode::from_u16(status).unwrap(),
                version,
                headers,
                received: SystemTime::UNIX_EPOCH + Duration::new(secs, nanos),
                initial_age,
                lifetime: Lifetime { duration, source },
            },
        )
}

fn entry() -> impl Strategy<Value = Entry> {
    let body = prop_oneof![
        vec(any::<u8>(), 0..200),
        vec(any::<u8>(), CHUNK as usize - 1..=CHUNK as usize)
    ];
    (
        any::<u64>(),
        stored_head(),
        body,
        option::of(headers()),
        any::<Option<bool>>(),
    )
        .prop_map(|(id, head, body, trailers, verdict)| Entry {
            id: EntryId(id),
            head: Arc::new(Head::restore(head)),
            body: Payload::new(body.into(), trailers)
                .with_verdict(verdict.map_or_else(Verdict::default, Verdict::known)),
        })
}

fn vary() -> Vary {
    Vary {
        epoch: 0xfeed,
        fields: Fields::new([http::header::ACCEPT, http::header::ORIGIN]),
        until: SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 5),
    }
}

fn key() -> Key {
    Key::parse("GET http://a.example/päth?q=1")
}

fn small() -> Bytes {
    let mut headers = HeaderMap::new();
    headers.append("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    headers.append("x-twice", HeaderValue::from_static("1"));
    headers.append("x-twice", HeaderValue::from_static("2"));
    let head = StoredHead {
        status: StatusCode::OK,
        version: Version::HTTP_11,
        headers: headers.clone(),
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        initial_age: Duration::from_secs(3),
        lifetime: Lifetime {
            duration: Duration::from_secs(60),
            source: Source::MaxAge,
        },
    };
    let entry = Entry {
        id: EntryId(7),
        head: Arc::new(Head::restore(head)),
        body: Payload::new(Bytes::from_static(b"body"), Some(headers)),
    };
    encode(&entry)
}

#[track_caller]
fn assert_same(got: Record, want: &Entry) {
    let Record::Response(got) = got else {
        panic!("not a response: {got:?}");
    };
    assert_eq!(got.id, want.id);
    assert_eq!(got.head.stored(), want.head.stored());
    assert_eq!(got.body.data(), want.body.data());
    assert_eq!(got.body.trailers(), want.body.trailers());
    assert_eq!(got.body.verdict().get(), want.body.verdict().get());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn responses_survive(entry in entry()) {
        let bytes = encode(&entry);
        assert_same(read(&key(), &bytes).unwrap(), &entry);
    }

    #[test]
    fn a_renewed_front_goes_with_the_old_rest(entry in entry(), head in stored_head()) {
        let old = encode(&entry);
        let rest = OPENING + front_of(&key(), entry.id, &entry.head, SEEN).len();
        let head = Arc::new(Head::restore(head));
        let mut renewed = opening_of(entry.id, SEEN).to_vec();
        prop_assert_eq!(&renewed, &old[..OPENING]);
        renewed.extend_from_slice(&front_of(&key(), entry.id, &head, SEEN));
        renewed.extend_from_slice(&old[rest..]);
        let want = Entry { head, ..entry };
        assert_same(read(&key(), &renewed.into()).unwrap(), &want);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300), opened: bool, kind: bool) {
        let mut input = Vec::new();
        if opened {
            input.extend_from_slice(&opening(if kind { RESPONSE } else { VARY }, 1, SEEN));
        }
        input.extend_from_slice(&bytes);
        prop_assert!(read(&key(), &input.into()).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(at: proptest::sample::Index, by in 1u8..) {
        let mut bytes = small().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(read(&key(), &bytes.into()).is_err());
    }
}

#[test]
fn search_markers_survive() {
    let search = Arc::new(Search {
        epoch: 7,
        rule: Rule::new(["utm", "é 气", ""], true, false),
        until: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
    });
    let bytes = encode_search(&key(), &search, SEEN);
    match read(&key(), &bytes) {
        Ok(Record::Search(got)) => assert_eq!(got, search),
        other => panic!("{other:?}"),
    }
    for cut in 0..bytes.len() {
        assert!(read(&key(), &bytes.slice(..cut)).is_err(), "{cut}");
    }
}

#[test]
fn an_opening_tells_what_was_seen_and_what_is_gone() {
    let opening = opening_in(&small()).unwrap();
    assert_eq!((opening.nonce, opening.number), (9, 5));
    let gone = gone(3);
    assert_eq!(opening_in(&gone).unwrap().nonce, 3);
    assert!(read(&key(), &gone).is_err());
}

#[test]
fn markers_survive() {
    let vary = vary();
    let bytes = encode_vary(&key(), &vary, SEEN);
    match read(&key(), &bytes) {
        Ok(Record::Vary(got)) => assert_eq!(*got, vary),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_truncation_and_any_surplus_is_an_error() {
    let marker = encode_vary(&key(), &vary(), SEEN);
    for whole in [small(), marker] {
        for len in 0..whole.len() {
            assert!(read(&key(), &whole.slice(..len)).is_err(), "cut at {len}");
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        assert_eq!(read(&key(), &longer.into()).unwrap_err(), Damage::Length);
    }
}

#[test]
fn what_is_not_asked_for_is_not_answered() {
    let other = Key::parse("GET http://b.example/");
    assert_eq!(read(&other, &small()).unwrap_err(), Damage::OtherKey);

    let mut newer = small().to_vec();
    newer[4] = VERSION + 1;
    assert_eq!(
        read(&key(), &newer.into()).unwrap_err(),
        Damage::Version(VERSION + 1)
    );
    let foreign = Bytes::from_static(b"{\"json\": true}");
    assert_eq!(read(&key(), &foreign).unwrap_err(), Damage::Foreign);
}

#[test]
fn lengths_that_lie_are_errors() {
    // Every length and count is a number somewhere: overwrite each place with the largest.
    let whole = small();
    for at in OPENING..whole.len() - 4 {
        let mut bytes = whole.to_vec();
        bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
        let _ = read(&key(), &bytes.into());
    }
}

fn sized(length: u64) -> Entry {
    let Ok(Record::Response(entry)) = read(&key(), &small()) else {
        panic!("it is a response");
    };
    let body = Payload::new(vec![7; length as usize].into(), None);
    Entry { body, ..entry }
}

#[test]
fn small_bodies_do_not_keep_what_they_came_in() {
    for length in [100, CHUNK] {
        let bytes = encode(&sized(length));
        let Ok(Record::Response(got)) = read(&key(), &bytes) else {
            panic!("it is a response");
        };
        let data = got.body.data().unwrap();
        assert!(!bytes.as_ptr_range().contains(&data.as_ptr()));
    }
}

#[test]
fn a_large_body_is_its_first_chunk_and_where_the_rest_is() {
    struct Nowhere;
    impl reading::Source for Nowhere {
        fn chunk(self: Arc<Self>, _: u64) -> reading::Chunk {
            unreachable!("nobody reads it")
        }
        fn is_chunk(&self, _: u64, _: &[u8]) -> bool {
            unreachable!("nobody reads it")
        }
    }
    let entry = sized(CHUNK + 1);
    let data = entry.body.data().unwrap();
    let mut prints = vec![0; chunks::prints_size(CHUNK + 1)];
    chunks::put_prints(&mut prints, data, 1..2);
    let apart = Apart::new(Token(5), prints);
    let bytes = encode_response(&key(), &entry, data, Some(&apart), SEEN);
    let rest = |id, told, length| {
        assert_eq!((id, &told, length), (entry.id, &apart, CHUNK + 1));
        Ok(Rest::new(length, Arc::new(Nowhere)))
    };
    let Ok(Record::Response(got)) = decode(&key(), &bytes, rest) else {
        panic!("it is a response");
    };
    assert_eq!((got.body.data(), got.body.len()), (None, CHUNK + 1));
    assert_eq!(got.body.weight() as u64, CHUNK);
    assert_eq!(read(&key(), &bytes).unwrap_err(), Damage::Rest);
    for at in [bytes.len() - 5, bytes.len() - 6 - CHUNK as usize] {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let changed = decode(&key(), &changed.into(), |_, _, _| {
            unreachable!("it is damaged")
        });
        assert_eq!(changed.unwrap_err(), Damage::Value("checksum"));
    }
}

#[test]
fn fuzzing_begins_with_records_of_this_version() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/redis_record/");
    for name in ["empty", "response", "search", "vary"] {
        let bytes = Bytes::from(std::fs::read([corpus, name].concat()).unwrap());
        let mut named = Input::new(&bytes);
        named.at = OPENING + 4;
        let key = std::str::from_utf8(named.text().unwrap()).unwrap();
        let read = decode(&Key::parse(key), &bytes, |_, _, _| Err(Damage::Rest));
        assert!(read.is_ok(), "{name}: {read:?}");
    }
}
