//! Keys whose owner may no longer use them, on every data plane.

mod counting;
mod outages;
mod plane;
mod races;
mod rule;

pub(crate) use self::plane::registry;
