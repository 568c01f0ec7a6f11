//! Buttons of Telegram messages: whoever presses one in the chat we write to has taken the group's
//! alerts up. Listens only while something can be acknowledged in no other way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::capabilities::alerts::channels::rules::{ChannelRules, Kind};
use crate::capabilities::alerts::channels::{Pressed, button};
use crate::capabilities::alerts::model::Status;

/// Pause after an answer without a press, so that a service that answers at once is not called
/// all the time.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause before the next look where there is nothing to listen for.
const IDLE: Duration = Duration::from_mins(1);
/// The first pause after a failure; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const MOST_PAUSE: Duration = Duration::from_mins(5);

/// One bot, and how far we have listened to it.
#[derive(Debug, Clone, Copy)]
struct Heard {
    after: i64,
    pause: Duration,
}

impl Outbox {
    /// Listens until told to stop.
    pub(super) async fn listen(self: Arc<Self>, stop: CancellationToken) {
        let mut bots: BTreeMap<String, Heard> = BTreeMap::new();
        loop {
            let turn = self.turn(&mut bots);
            let Some(pause) = stop.run_until_cancelled(turn).await else {
                return;
            };
            let mut outcomes = self.outcomes.subscribe();
            let waited = async {
                tokio::select! {
                    () = self.clock.sleep(pause) => {}
                    // Something was told that may have a button.
                    _ = outcomes.changed(), if pause == IDLE => {}
                }
            };
            if stop.run_until_cancelled(waited).await.is_none() {
                return;
            }
        }
    }

    /// Asks each bot once, and gives how long to pause.
    async fn turn(&self, bots: &mut BTreeMap<String, Heard>) -> Duration {
        let all: Vec<Arc<ChannelRules>> = self.listened_to();
        let asked = all.iter().map(|rules| {
            let known = bots.get(&rules.name).copied().unwrap_or(Heard {
                after: -1,
                pause: PAUSE,
            });
            self.ask(rules, known)
        });
        let heard = join_all(asked).await;
        let mut pause = IDLE;
        for (rules, heard) in all.iter().zip(heard) {
            if let Some(heard) = heard {
                pause = pause.min(heard.pause);
                bots.insert(rules.name.clone(), heard);
            }
        }
        pause
    }

    /// One channel of each bot whose messages have buttons that say something to us.
    fn listened_to(&self) -> Vec<Arc<ChannelRules>> {
        let channels = (self.channels)();
        let state = self.state();
        let mut bots = BTreeMap::new();
        for (_, channel, told) in state.all_told() {
            if let Some(rules) = channels.named(channel).filter(|_| told.needs_button)
                && let Kind::Telegram {
                    token_secret,
                    buttons: true,
                    ..
                } = &rules.kind
            {
                bots.entry(token_secret.clone())
                    .or_insert_with(|| Arc::clone(rules));
            }
        }
        bots.into_values().collect()
    }

    async fn ask(&self, rules: &ChannelRules, mut heard: Heard) -> Option<Heard> {
        let Kind::Telegram {
            token_secret,
            api_url,
            ..
        } = &rules.kind
        else {
            return None;
        };
        let pressed = self.sender.pressed(token_secret, api_url, heard.after);
        match pressed.await? {
            Ok(pressed) => {
                heard.pause = PAUSE;
                for one in pressed {
                    heard.after = heard.after.max(one.update);
                    let text = self.obey(token_secret, &one);
                    let (id, text) = (&one.id, &text);
                    let answered = self.sender.answer_press(token_secret, api_url, id, text);
                    answered.await;
                }
            }
            Err(found) => {
                if heard.pause == PAUSE {
                    let (name, found) = (&rules.name, &found.text);
                    tracing::warn!("cannot listen for buttons of channel `{name}`: {found}");
                    heard.pause = FIRST_PAUSE;
                } else {
                    heard.pause = (heard.pause * 2).min(MOST_PAUSE);
                }
            }
        }
        Some(heard)
    }

    /// Does what a button says, and gives what its presser is told.
    fn obey(&self, token: &str, pressed: &Pressed) -> String {
        let channels = (self.channels)();
        let in_chat = |name: &str| {
            let rules = channels.named(name);
            rules.is_some_and(|rules| match &rules.kind {
                Kind::Telegram {
                    token_secret,
                    chat_id_secret,
                    ..
                } => token_secret == token && self.sender.is_chat(chat_id_secret, &pressed.chat),
                _ => false,
            })
        };
        let mut is_ours = false;
        let keys: Vec<String> = {
            let state = self.state();
            let told = state.all_told().filter(|(group, channel, _)| {
                let chat = in_chat(channel);
                is_ours |= chat;
                chat && button(group) == pressed.data
            });
            told.flat_map(|(_, _, told)| &told.alerts)
                .filter(|(_, (status, _))| *status == Status::Firing)
                .map(|(key, _)| key.clone())
                .collect()
        };
        if !is_ours {
            return "This chat may not acknowledge".into();
        }
        let by = format!("telegram:{}", pressed.by);
        let keys = keys.iter().map(String::as_str);
        match self.alerts.acknowledge(keys, &by, self.clock.now()) {
            0 => "Nothing is left to acknowledge here".into(),
            1 => "Acknowledged".into(),
            count => format!("Acknowledged: {count} alerts"),
        }
    }
}
