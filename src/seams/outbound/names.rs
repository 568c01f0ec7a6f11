//! Looking up names by the system's resolver, so that `/etc/hosts` and the machine's own order
//! hold. The call blocks, and may do so for half a minute: it has a thread of its own, at most so
//! many at once, one for each name; who waits may leave at any time.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

/// Look-ups at once: enough that a hundred names whose servers are silent leave room for the
/// others, few enough for the 256 tasks of the systemd unit (our own choice).
const MOST_AT_ONCE: usize = 128;
/// Stack of a look-up's thread in bytes: several times what the C library's resolver uses.
const STACK: usize = 256 * 1024;

/// What a look-up gave. An error is told to everybody who waited for it.
type Told = Result<Arc<[IpAddr]>, (io::ErrorKind, String)>;
/// One look-up under way.
type Asked = watch::Receiver<Option<Told>>;

/// A look-up that blocks.
type Resolve = dyn Fn(&str) -> Told + Send + Sync;

/// The system's resolver, bounded.
pub(super) struct Names {
    resolve: Arc<Resolve>,
    room: Arc<Semaphore>,
    asked: Arc<Mutex<HashMap<String, Asked>>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Names {{ room: {} }}", self.room.available_permits())
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::by(resolve)
    }
}

impl Names {
    fn by(resolve: impl Fn(&str) -> Told + Send + Sync + 'static) -> Self {
        Self {
            resolve: Arc::new(resolve),
            room: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            asked: Arc::default(),
        }
    }

    /// All addresses of `name`, in the system's order.
    pub(super) async fn look_up(&self, name: &str) -> io::Result<Arc<[IpAddr]>> {
        let known = held(&self.asked).get(name).cloned();
        let mut asked = match known {
            Some(asked) => asked,
            None => self.ask(name).await?,
        };
        let told = asked.wait_for(Option::is_some).await;
        match told.ok().and_then(|told| told.clone()) {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err((kind, text))) => Err(io::Error::new(kind, text)),
            None => Err(io::Error::other("the look-up ended without an answer")),
        }
    }

    async fn ask(&self, name: &str) -> io::Result<Asked> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(io::Error::other)?;
        let (tell, asked) = watch::channel(None);
        {
            // Somebody may have asked for the same name while there was no room.
            let mut all = held(&self.asked);
            if let Some(asked) = all.get(name) {
                return Ok(asked.clone());
            }
            all.insert(name.to_owned(), asked.clone());
        }
        let (all, own) = (Arc::clone(&self.asked), name.to_owned());
        let resolve = Arc::clone(&self.resolve);
        // Not of the runtime's pool: a runtime waits at its end for each of its threads, and a
        // look-up that hangs must not keep the process from ending.
        let thread = std::thread::Builder::new()
            .name("look-up".into())
            .stack_size(STACK);
        let begun = thread.spawn(move || {
            let told = resolve(&own);
            held(&all).remove(&own);
            tell.send_replace(Some(told));
            drop(room);
        });
        if begun.is_err() {
            held(&self.asked).remove(name);
        }
        begun.map(|_detached| asked)
    }
}

fn held(asked: &Mutex<HashMap<String, Asked>>) -> MutexGuard<'_, HashMap<String, Asked>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn resolve(name: &str) -> Told {
    let found = (name, 0).to_socket_addrs();
    let found = found.map_err(|error| (error.kind(), error.to_string()))?;
    let mut addresses: Vec<IpAddr> = found.map(|at| at.ip().to_canonical()).collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err((io::ErrorKind::NotFound, "the name has no address".into()));
    }
    Ok(addresses.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex as Gate};

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    /// Whether those who hang are let go, and how they hear of it.
    type Held = Arc<(Gate<bool>, Condvar)>;

    /// A resolver that knows every name but hangs at those that begin with `silent` until it is
    /// let go; and how often it was asked.
    fn world() -> (Names, Held, Arc<AtomicUsize>) {
        let gate = Arc::new((Gate::new(false), Condvar::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (held, counted) = (Arc::clone(&gate), Arc::clone(&asked));
        let names = Names::by(move |name| {
            counted.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("silent") {
                let open = held.0.lock().unwrap();
                drop(held.1.wait_while(open, |open| !*open).unwrap());
            }
            Ok(Arc::new([IpAddr::from([192, 0, 2, 1])]))
        });
        (names, gate, asked)
    }

    #[tokio::test]
    async fn a_name_that_hangs_delays_no_other_and_takes_one_thread() {
        let (names, gate, asked) = world();
        let hung = (0..50).map(|_| names.look_up("silent.example"));
        let mut hung = Box::pin(join_all(hung));
        assert!(hung.as_mut().now_or_never().is_none());
        names.look_up("quick.example").await.expect("an address");
        // The thread of the one that hangs may be slow to begin.
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // Whoever leaves takes nothing from those who come later.
        drop(hung);
        let mut late = Box::pin(names.look_up("silent.example"));
        assert!(
            late.as_mut().now_or_never().is_none(),
            "it joins those who wait"
        );
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        assert_eq!(late.await.expect("an address").len(), 1);
        let asked = asked.load(Ordering::SeqCst);
        assert_eq!(asked, 2, "one for all who waited, one for the other");
    }

    #[tokio::test]
    async fn look_ups_are_bounded_and_go_on_once_there_is_room() {
        let (names, gate, asked) = world();
        let all: Vec<String> = (0..200).map(|n| format!("silent-{n}.example")).collect();
        let mut hung = Box::pin(join_all(all.iter().map(|name| names.look_up(name))));
        assert!(hung.as_mut().now_or_never().is_none());
        assert_eq!(names.room.available_permits(), 0);
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        assert!(hung.await.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::SeqCst), 200);
        assert!(held(&names.asked).is_empty());
    }
}
