//! Looking up names by the system's resolver, so that `/etc/hosts` and the machine's own order
//! hold. The call blocks, and may do so for half a minute: it has a thread of its own, at most so
//! many at once, one for each name; who waits may leave at any time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

/// Look-ups at once: enough that a few dozen names whose servers are silent leave room for the
/// others, few enough that their stacks do not count (our own choice).
const MOST_AT_ONCE: usize = 64;
/// Stack of a look-up's thread in bytes: several times what the C library's resolver uses.
const STACK: usize = 256 * 1024;

/// What a look-up gave. An error is told to everybody who waited for it.
type Told = Result<Arc<[IpAddr]>, (io::ErrorKind, String)>;
/// One look-up under way.
type Asked = watch::Receiver<Option<Told>>;

/// The system's resolver, bounded.
#[derive(Debug)]
pub(super) struct Names {
    room: Arc<Semaphore>,
    asked: Arc<Mutex<HashMap<String, Asked>>>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            asked: Arc::default(),
        }
    }
}

impl Names {
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
