//! What is asked for, in which order: the same in every run.

/// Numbers that look random (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, and not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The key 0 is asked for most often, the key n by a factor of (n + 1) to the power of `skew` less.
pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    pub(crate) fn new(keys: u64, skew: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|rank| {
            sum += (rank as f64).powf(-skew);
            sum
        });
        Zipf(sums.collect())
    }

    pub(crate) fn sample(&self, random: &mut Random) -> u64 {
        let sum = self.0.last().copied().unwrap_or_default();
        let at = random.unit() * sum;
        self.0.partition_point(|up_to| *up_to <= at) as u64
    }
}

/// The first key of those that are asked for once only, or in turn.
const OTHERS: u64 = 1 << 32;

/// `len` requests for `keys` keys.
pub(crate) fn zipf(len: usize, keys: u64, skew: f64) -> Vec<u64> {
    let (zipf, mut random) = (Zipf::new(keys, skew), Random(1));
    (0..len).map(|_| zipf.sample(&mut random)).collect()
}

/// The same, and a `share` of further requests for what nobody ever asks for again.
pub(crate) fn one_hit_wonders(len: usize, keys: u64, skew: f64, share: f64) -> Vec<u64> {
    let (zipf, mut random) = (Zipf::new(keys, skew), Random(2));
    let mut others = OTHERS..;
    let one = |_| {
        if random.unit() < share {
            others.next()
        } else {
            Some(zipf.sample(&mut random))
        }
    };
    (0..len).filter_map(one).collect()
}

/// The same as [`zipf`], and after each `every` requests, `scan` keys in a row that nobody ever
/// asks for again.
pub(crate) fn scans(len: usize, keys: u64, skew: f64, every: usize, scan: u64) -> Vec<u64> {
    let mut others = OTHERS..;
    let mut all = Vec::with_capacity(len);
    for part in zipf(len, keys, skew).chunks(every) {
        all.extend_from_slice(part);
        all.extend(others.by_ref().take(scan as usize));
    }
    all.truncate(len);
    all
}

/// `keys` keys in turn.
pub(crate) fn around(len: usize, keys: u64) -> Vec<u64> {
    (0..len as u64).map(|n| n % keys).collect()
}

/// The same, one half of the requests; the other is as [`zipf`] has it.
pub(crate) fn around_and_zipf(len: usize, keys: u64, skew: f64, turn: u64) -> Vec<u64> {
    let around = around(len / 2, turn).into_iter().map(|key| OTHERS + key);
    let zipf = zipf(len / 2, keys, skew);
    zipf.into_iter()
        .zip(around)
        .flat_map(<[u64; 2]>::from)
        .collect()
}

/// As [`zipf`], but each `every` requests one key in `part` becomes another, new one: what was
/// asked for often may never be again.
pub(crate) fn drifting(len: usize, keys: u64, skew: f64, every: usize, part: u64) -> Vec<u64> {
    let mut names: Vec<u64> = (0..keys).collect();
    let (mut random, mut others) = (Random(3), OTHERS..);
    let mut all = zipf(len, keys, skew);
    for requests in all.chunks_mut(every) {
        for key in requests {
            *key = names[*key as usize];
        }
        for name in &mut names {
            if random.next() % part == 0 {
                *name = others.next().expect("there is no end of them");
            }
        }
    }
    all
}
