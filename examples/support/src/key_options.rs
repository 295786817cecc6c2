//! The options of a server for the keys that it creates.

use std::time::Duration;

use clap::Args;
use tower_credentials::CredentialLayerBuilder;

/// A create with an explicit expiry must be this far ahead.
const MIN_LIFE: Duration = Duration::from_mins(1);

/// What a server allows for its keys, and how it shows them.
#[derive(Clone, Copy, Debug, Args)]
pub struct KeyOptions {
    /// The maximum time from the creation of a key to its expiry: 90d, 24h or 30m, at least 1m
    /// [default: unlimited].
    ///
    /// A new key without an expiry expires after this time. A later expiry is rejected, also for
    /// admins. Existing keys are not changed.
    #[arg(long, value_name = "DURATION", value_parser = parse_life)]
    max_key_life: Option<Duration>,
    /// Show a secret only in the response to the request that creates or rotates its key.
    #[arg(long)]
    show_secrets_once: bool,
}

impl KeyOptions {
    /// Sets the options of a layer.
    pub fn apply(self, layer: CredentialLayerBuilder) -> CredentialLayerBuilder {
        let layer = layer.show_secrets_once(self.show_secrets_once);
        match self.max_key_life {
            Some(life) => layer.max_key_life(life),
            None => layer,
        }
    }
}

fn parse_life(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        life if life < MIN_LIFE => Err("must be at least 1m".to_owned()),
        life => Ok(life),
    }
}

/// Parses a duration such as `90d`, `24h`, `30m` or `90s`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || "expected a duration such as 90d, 24h or 30m".to_owned();
    let unit = text.chars().next_back().ok_or_else(invalid)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(invalid()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    // `parse` also accepts a sign.
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    // A number of 32 bits: the sum with the time is within the range of the clock.
    let number: u32 = number.parse().map_err(|_| "the duration is too long".to_owned())?;
    let seconds = u64::from(number) * seconds;
    // Expiries have years of four digits.
    let longest = 1_000 * 366 * 86_400;
    if seconds > longest {
        Err("the duration is too long".to_owned())
    } else {
        Ok(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_have_a_number_and_a_unit() {
        for (text, seconds) in [("90d", 7_776_000), ("24h", 86_400), ("30m", 1_800), ("60s", 60)] {
            assert_eq!(parse_life(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5h",
            "1w",
            "1 d",
            "0d",
            "59s",
            "4294967296d",
            "4294967295d",
        ] {
            assert!(parse_life(bad).is_err(), "{bad:?}");
        }
    }
}
