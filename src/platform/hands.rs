//! What parts let others do: a flag set, a task paused. Each owner offers its hand when it is
//! built; whoever acts by itself asks for it by name, so that nobody edits what another owns.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// Sets a flag that there is: the flag, its value.
pub const SET_FLAG: &str = "set_flag";
/// Pauses a task: the task; no value.
pub const PAUSE_TASK: &str = "pause_task";

/// What comes of it: one sentence, or why it was not done.
pub type Doing = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// What is asked of a hand.
#[derive(Debug, Clone)]
pub struct Order {
    /// To what.
    pub on: String,
    /// The value, where there is one.
    pub value: Value,
    /// In whose name.
    pub by: Arc<str>,
}

type Hand = Arc<dyn Fn(Order) -> Doing + Send + Sync>;

/// All hands. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<HashMap<&'static str, Hand>>>);

impl Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hands")
    }
}

impl Hands {
    /// Offers the hand `what`.
    pub fn offer(&self, what: &'static str, hand: impl Fn(Order) -> Doing + Send + Sync + 'static) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(what, Arc::new(hand));
    }

    /// Asks the hand `what`.
    pub async fn ask(&self, what: &str, order: Order) -> Result<String, String> {
        let hand = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(what).cloned()
        };
        match hand {
            Some(hand) => hand(order).await,
            None => Err(format!("nobody here can `{what}`")),
        }
    }
}
