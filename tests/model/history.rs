//! A random history: who asks what when, how the origin will answer, and what is purged.

use crate::{chance::Chance, fields::Fields};

pub(crate) const URLS: [&str; 4] = [
    "http://a.example/x",
    "http://a.example/x/y",
    "http://a.example/z?q",
    "http://b.example/x",
];
pub(crate) const TAGS: [&str; 2] = ["red", "blue"];

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) settings: Settings,
    pub(crate) steps: Vec<Step>,
}

/// How the cache is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) ttl: Ttl,
    pub(crate) stale_while_revalidate: Option<i64>,
    pub(crate) stale_if_error: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ttl {
    /// Sixty seconds for silence, no cap.
    Unset,
    /// `--ttl origin`
    Origin,
    /// `--ttl N`
    Seconds(i64),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Ask(Ask, Recipe),
    Purge(Purging, bool),
    Wait(u64),
}

/// A request. A value that is `@N` stands for the date N seconds from now, `%` for the entity tag
/// that was last seen of this URL.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) url: usize,
    pub(crate) fields: Fields,
}

/// How the origin answers if it is asked. Values as above.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    /// There is a new version since it was last asked.
    pub(crate) changed: bool,
    pub(crate) tag: Tag,
    /// How long ago a new version was made, where it says so.
    pub(crate) modified: Option<i64>,
    pub(crate) heeds_conditions: bool,
    pub(crate) knows_ranges: bool,
    pub(crate) tags_not_modified: bool,
    pub(crate) delay: u64,
    pub(crate) fails: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Tag {
    None,
    Weak,
    Strong,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Purging {
    All,
    Url(usize),
    Below(usize),
    Tag(&'static str),
}

impl History {
    pub(crate) fn random(seed: u64, steps: usize) -> History {
        let chance = &mut Chance(seed);
        let window = |chance: &mut Chance| chance.one_in(4).then_some(40);
        let settings = Settings {
            ttl: [Ttl::Unset, Ttl::Origin, Ttl::Origin, Ttl::Seconds(30)][chance.below(4)],
            stale_while_revalidate: window(chance),
            stale_if_error: window(chance),
        };
        let steps = (0..steps).map(|_| step(chance)).collect();
        History { settings, steps }
    }
}

fn step(chance: &mut Chance) -> Step {
    match chance.below(20) {
        0 => Step::Purge(purging(chance), chance.one_in(2)),
        1..6 => Step::Wait([1, 5, 9, 10, 11, 30, 59, 61, 100, 1000, 5000][chance.below(11)]),
        _ => Step::Ask(ask(chance), recipe(chance)),
    }
}

fn purging(chance: &mut Chance) -> Purging {
    match chance.below(8) {
        0 => Purging::All,
        1..4 => Purging::Url(chance.below(URLS.len())),
        4..6 => Purging::Below(chance.below(URLS.len())),
        _ => Purging::Tag(chance.pick(&TAGS)),
    }
}

/// Often few URLs, so that they are met again.
fn url(chance: &mut Chance) -> usize {
    chance.below(URLS.len()).min(chance.below(URLS.len()))
}

fn ask(chance: &mut Chance) -> Ask {
    let method = chance.pick(&[
        "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD",
        "POST", "PUT", "DELETE",
    ]);
    let mut fields = Fields::default();
    let mut maybe = |chance: &mut Chance, n, name: &str, among: &[&str]| {
        if chance.one_in(n) {
            fields.add(name, chance.pick(among));
        }
    };
    maybe(
        chance,
        3,
        "accept-encoding",
        &["gzip, br", "br,GZIP", "gzip", ""],
    );
    maybe(
        chance,
        3,
        "accept-language",
        &["de", "en;q=0.5", "EN; q=0.500"],
    );
    maybe(chance, 4, "x-custom", &["1", "2", "1 , 2", "1,2"]);
    maybe(chance, 12, "cookie", &["id=1"]);
    maybe(chance, 12, "authorization", &["Basic YQ=="]);
    maybe(
        chance,
        5,
        "cache-control",
        &[
            "no-cache",
            "No-Cache",
            "no-store",
            "max-age=0",
            "max-age=20",
            "max-age=abc",
            "min-fresh=10",
            "max-stale",
            "max-stale=30",
            "max-stale=30, max-age=50",
            "min-fresh=x",
            "only-if-cached",
            "only-if-cached, max-stale=100",
            "no-store, only-if-cached",
            "stale-if-error=50",
            "max-age=\"20\"",
        ],
    );
    maybe(chance, 25, "pragma", &["no-cache", "foo"]);
    maybe(
        chance,
        8,
        "if-none-match",
        &["%", "%", "\"other\"", "*", "\"a\", %", "W/\"b\",%"],
    );
    maybe(
        chance,
        10,
        "if-modified-since",
        &["@0", "@-50", "@-3000", "soon"],
    );
    maybe(chance, 25, "if-match", &["%", "\"other\"", "*"]);
    maybe(chance, 25, "if-unmodified-since", &["@0", "@-3000"]);
    maybe(
        chance,
        6,
        "range",
        &[
            "bytes=0-3",
            "bytes=2-9",
            "bytes=5-",
            "bytes=-4",
            "bytes=0-1,4-5",
            "bytes=0-3,2-6",
            "bytes=900-",
            "bytes=3-1",
            "lines=1-2",
            "bytes=0-0,-1",
            "bytes=0-",
            "bytes=4-900",
        ],
    );
    maybe(chance, 15, "if-range", &["%", "%", "\"other\"", "@-50"]);
    Ask {
        method,
        url: url(chance),
        fields,
    }
}

fn recipe(chance: &mut Chance) -> Recipe {
    let status = match chance.below(4) {
        0 => [
            203, 204, 299, 301, 302, 308, 401, 404, 410, 500, 503, 503, 400, 421,
        ][chance.below(14)],
        _ => 200,
    };
    let mut fields = Fields::default();
    let mut maybe = |chance: &mut Chance, n, name: &str, among: &[&str]| {
        if chance.one_in(n) {
            fields.add(name, chance.pick(among));
        }
    };
    if !chance.one_in(4) {
        maybe(
            chance,
            1,
            "cache-control",
            &[
                "max-age=60",
                "max-age=60",
                "max-age=60",
                "MAX-AGE=\"10\"",
                "max-age=1000",
                "max-age=0",
                "max-age=10, max-age=60",
                "max-age=-1",
                "max-age = 60",
                "max-age=99999999999999999999",
                "max-age=60, s-maxage=10",
                "s-maxage=60",
                "S-MaxAge=60, must-revalidate",
                "public, max-age=60",
                "public",
                "private, max-age=60",
                "Private",
                "no-store, max-age=60",
                "no-cache",
                "no-cache, max-age=60",
                "max-age=60, no-cache=\"x-extra\"",
                "private=\"x-extra\", max-age=60",
                "max-age=60, private=\"\"",
                "max-age=10, must-revalidate",
                "max-age=10, proxy-revalidate",
                "max-age=10, stale-while-revalidate=30",
                "max-age=10, stale-if-error=60",
                "max-age=10, stale-while-revalidate=100, stale-if-error=100, must-revalidate",
                "max-age=60, immutable",
                "must-understand, no-store, max-age=60",
                "foo=\"a, no-store\"",
                "max-age=60,, ,",
                "no-store=x",
                "stale-while-revalidate=50",
            ],
        );
    }
    maybe(
        chance,
        20,
        "cache-control",
        &["max-age=5", "no-store", "public", "private"],
    );
    maybe(chance, 5, "expires", &["@20", "@100", "@-1", "0", "@5000"]);
    maybe(chance, 2, "date", &["@0", "@0", "@-15", "@30", "now"]);
    maybe(
        chance,
        8,
        "age",
        &["5", "30", "abc", "7, 8", "18446744073709551615"],
    );
    maybe(
        chance,
        3,
        "vary",
        &[
            "accept-encoding",
            "Accept-Language",
            "x-custom",
            "x-custom, Accept-Encoding",
            "x-custom",
            "*",
            "accept-language, *",
        ],
    );
    maybe(chance, 15, "set-cookie", &["id=1"]);
    maybe(chance, 3, "x-extra", &["1", "2"]);
    maybe(chance, 12, "connection", &["x-extra", "close"]);
    maybe(
        chance,
        20,
        "larder-cache-control",
        &["max-age=30", "no-store", "Max-Age=9", "max-age=30,"],
    );
    maybe(
        chance,
        20,
        "cdn-cache-control",
        &["max-age=40", "private", "no-cache, max-age=9", ""],
    );
    maybe(chance, 8, "cache-tag", &["red", "red, blue", "green"]);
    maybe(chance, 12, "surrogate-key", &["red", "blue green"]);
    maybe(
        chance,
        8,
        "cache-groups",
        &["\"red\"", "\"blue\", \"red\"", "red"],
    );
    maybe(
        chance,
        12,
        "cache-group-invalidation",
        &["\"red\"", "\"blue\";p=1", "\"red\", 1"],
    );
    maybe(
        chance,
        12,
        "content-location",
        &[
            "/x",
            "y",
            "http://a.example/x",
            "http://b.example/x",
            "z?q",
            "?q",
        ],
    );
    maybe(
        chance,
        15,
        "location",
        &[
            "/x",
            "/x/y",
            "//b.example/x",
            "HTTP://A.EXAMPLE:80/x",
            "../z?q#f",
        ],
    );
    Recipe {
        status,
        fields,
        changed: chance.one_in(3),
        tag: [Tag::None, Tag::Weak, Tag::Strong, Tag::Strong][chance.below(4)],
        modified: [None, None, Some(20), Some(1000)][chance.below(4)],
        heeds_conditions: !chance.one_in(5),
        knows_ranges: !chance.one_in(5),
        tags_not_modified: !chance.one_in(4),
        delay: if chance.one_in(8) {
            chance.below(5) as u64
        } else {
            0
        },
        fails: chance.one_in(25),
    }
}
