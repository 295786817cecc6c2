//! URLs for people to see.

/// A URL for people to see: without its password.
pub fn redacted(url: &str) -> String {
    const HIDDEN: &str = "***";
    let mut shown = url.to_owned();
    // Up to the last `@`, for a password that should have been encoded.
    if let Some(start) = shown.find("://").map(|at| at + 3)
        && let Some(end) = shown.rfind('@').filter(|end| *end > start)
        && let Some(colon) = shown[start..end].find(':')
    {
        shown.replace_range(start + colon + 1..end, HIDDEN);
    }
    if let Some(start) = shown.find("password=").map(|at| at + "password=".len()) {
        let end = shown[start..].find(['&', ' ']).map_or(shown.len(), |end| start + end);
        shown.replace_range(start..end, HIDDEN);
    }
    shown
}
