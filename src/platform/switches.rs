//! The four well-known switches of automatic work, for everyone that acts by itself.
//!
//! A switch is a flag in `configs/flags.json`. The capability `flags` reads that file and puts the
//! switches in force here on each accepted edit; others only look. Nothing is kept: before the
//! file has been read once, the brake is on and everything else is off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A switch of automatic work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Switch {
    /// The brake: every automatic change holds, measuring and alerting go on.
    Stabilize = 1,
    /// Autoscale may act.
    Autoscale = 1 << 1,
    /// Incidents may run recovery actions.
    Autorecover = 1 << 2,
    /// Pricing may create discounts and apply prices.
    PricingApply = 1 << 3,
}

impl Switch {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Stabilize,
        Self::Autoscale,
        Self::Autorecover,
        Self::PricingApply,
    ];

    /// The flag that carries it.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Stabilize => "STABILIZE_MODE",
            Self::Autoscale => "AUTOSCALE_ENABLED",
            Self::Autorecover => "INCIDENT_AUTORECOVER",
            Self::PricingApply => "PRICING_AUTO_APPLY",
        }
    }

    /// Whether a flag of this value switches it on; `None` for a flag that is not there.
    ///
    /// A value that is no boolean is a mistake, and a mistake must not set anything going: it holds
    /// the brake and leaves the others off.
    fn is_on(self, value: Option<Value>) -> bool {
        match value {
            None => false,
            Some(Value::Bool(on)) => on,
            Some(Value::Other) => self == Self::Stabilize,
        }
    }
}

/// A flag's value, as far as switches care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// Anything else.
    Other,
}

/// All switches at one moment. Take one per request or run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switched(u8);

impl Switched {
    /// What a set of flags switches on.
    pub fn from_flags(value: impl Fn(&'static str) -> Option<Value>) -> Self {
        let on = |switch: &Switch| switch.is_on(value(switch.flag()));
        let bits = Switch::ALL.into_iter().filter(on);
        Self(bits.fold(0, |bits, switch| bits | switch as u8))
    }

    /// Whether `switch` is on.
    pub fn is_on(self, switch: Switch) -> bool {
        self.0 & switch as u8 != 0
    }

    /// Whether every automatic change holds.
    pub fn is_stabilized(self) -> bool {
        self.is_on(Switch::Stabilize)
    }
}

impl Default for Switched {
    fn default() -> Self {
        Self(Switch::Stabilize as u8)
    }
}

/// The switches in force. Cheap to clone, never locks.
#[derive(Debug, Clone)]
pub struct Switches {
    bits: Arc<AtomicU8>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            bits: Arc::new(AtomicU8::new(Switched::default().0)),
        }
    }
}

impl Switches {
    /// The switches now.
    pub fn get(&self) -> Switched {
        Switched(self.bits.load(Ordering::Acquire))
    }

    /// Puts others in force.
    pub fn set(&self, next: Switched) {
        self.bits.store(next.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switched(flag: &'static str, value: Value) -> Switched {
        Switched::from_flags(|asked| (asked == flag).then_some(value))
    }

    #[test]
    fn a_flag_switches_its_own_switch_only() {
        for switch in Switch::ALL {
            let on = switched(switch.flag(), Value::Bool(true));
            for other in Switch::ALL {
                assert_eq!(on.is_on(other), other == switch, "{other:?}");
            }
            assert_eq!(
                switched(switch.flag(), Value::Bool(false)),
                Switched::from_flags(|_| None)
            );
        }
    }

    #[test]
    fn a_mistake_brakes_and_never_sets_going() {
        for switch in Switch::ALL {
            let on = switched(switch.flag(), Value::Other).is_on(switch);
            assert_eq!(on, switch == Switch::Stabilize, "{switch:?}");
        }
    }

    #[test]
    fn before_the_flags_are_read_nothing_acts() {
        let switches = Switches::default();
        assert!(switches.get().is_stabilized());
        assert!(!switches.get().is_on(Switch::Autoscale));
        switches.clone().set(Switched::from_flags(|_| None));
        assert!(!switches.get().is_stabilized());
    }
}
