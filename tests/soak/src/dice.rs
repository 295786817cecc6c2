//! Repeatable random choices.

use std::env;

use data_encoding::HEXLOWER;
use tower_credentials::clock::{Clock, SystemClock};

/// `SplitMix64`: short, and with the same sequence in every release.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The seed in `SOAK_SEED`, or a random one.
    pub(crate) fn seed() -> u64 {
        let Ok(seed) = env::var("SOAK_SEED") else {
            let now = SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap();
            return u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20);
        };
        seed.parse().unwrap_or_else(|_| panic!("SOAK_SEED must be a number, got {seed:?}"))
    }

    /// Each name has its own sequence.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let mix = |state: u64, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, among: &[&'a T]) -> &'a T {
        among[self.below(among.len())]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(&mut self) -> String {
        HEXLOWER.encode(&self.bytes(16))
    }
}
