//! Numbered records whose ids and keys look random, and the comparison of times.

use std::time::Duration;

use tower_credentials::domain::{AccessKey, Credential, SecretKey, UserId, Version};

use crate::records;

pub const KEYS_PER_USER: u64 = 10;

/// The n-th record. It is the same in every run.
pub fn credential(n: u64) -> Credential {
    let secret = SecretKey::from_stored(hex(n ^ 0x5eed) + &hex(n)[..16]);
    let (project, user) = (hex(n / KEYS_PER_USER % 100), user_of(n));
    let key = access_key(n);
    let mut credential = records::pair_in(&project, user.as_str(), key.as_str(), secret.expose());
    credential.version = Version::from_stored(n);
    credential
}

pub fn access_key(n: u64) -> AccessKey {
    AccessKey::from_stored(hex(n))
}

/// The user of the n-th record.
pub fn user_of(n: u64) -> UserId {
    UserId::from_stored(hex(!(n / KEYS_PER_USER)))
}

/// 32 hex digits that look random, as real ids and keys do.
pub fn hex(n: u64) -> String {
    let mut dice = Dice(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    format!("{:016x}{:016x}", dice.next(), dice.next())
}

/// `SplitMix64`: the same numbers in every run.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
