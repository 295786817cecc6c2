//! What becomes of a key when its owner may not use it any more, on every data plane.

mod counting;
mod outages;
mod plane;
mod races;
mod rule;

pub(crate) use self::plane::registry;
