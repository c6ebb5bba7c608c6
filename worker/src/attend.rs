//! A worker's life: options in; a coordinator that is looked for, attended to, and looked for again, out.
//!
//! ```text
//! begin ─> dial ─> serve ─ told to serve another model ─> fetch, beside the task in hand ─> load ─┐
//!           ^       │  ^                                                                           │
//!           └ break ┘  └──────────── hello anew, with the model or with why not ───────────────────┘
//! ```

mod served;

use std::{pin::Pin, time::Duration};

use tessera_proto::{ContentHash, Hello, Outcome};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    Error, LinkError, Options,
    device::{Device, Gone, Order},
    fetch::{Failures, Fetcher},
    link::{Link, Word},
};
use served::Served;

/// Longest pause between two attempts to reach the coordinator: one that was started again has work for all at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A worker between two streams, or on one.
struct Attendant {
    options: Options,
    fetcher: Option<Fetcher>,
    served: Served,
    failures: Failures,
}

/// How a stay on a stream ended.
enum End {
    /// The worker is to go.
    Left,
    /// The stream has ended.
    Stream(Result<(), LinkError>),
}

/// Loads the model and attends to the coordinator until `shutdown` is done or the coordinator stays away for longer than
/// the options' patience.
///
/// # Errors
/// The model or the library is refused, or the coordinator cannot be reached.
pub(crate) async fn run<C, F>(
    options: Options,
    connect: C,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    C: Fn(Endpoint) -> F + Send + Sync,
    F: Future<Output = Result<Channel, LinkError>> + Send,
{
    tokio::pin!(shutdown);
    let settings = options.clone();
    // Hashing and loading a model takes seconds.
    let started = spawn_blocking(move || Served::begin(&settings));
    let served = tokio::select! {
        started = started => started.map_err(|_| Error::Start)??,
        () = &mut shutdown => return Ok(()),
    };
    let fetcher = options.fetch.as_ref().map(Fetcher::new);
    let mut worker = Attendant { options, fetcher, served, failures: Failures::default() };
    let mut waiting_since = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        let attempt = Link::open(&worker.options.coordinator, &connect, worker.hello());
        let opened = tokio::select! {
            opened = attempt => opened,
            () = &mut shutdown => return Ok(()),
        };
        let ended = match opened {
            Ok(link) => {
                let End::Stream(ended) = worker.attend(link, shutdown.as_mut()).await? else { return Ok(()) };
                tokio::select! {
                    cleared = clear(&worker.served.device, &mut worker.served.outcomes) => cleared?,
                    () = &mut shutdown => return Ok(()),
                }
                (waiting_since, pause) = (Instant::now(), Duration::from_millis(100));
                ended
            }
            Err(error) => Err(error),
        };
        let patience = worker.options.patience;
        match ended {
            Ok(()) if patience.is_zero() => return Ok(()),
            Err(error) if !error.is_passing() || patience <= waiting_since.elapsed() => {
                return Err(error.into());
            }
            Ok(()) => tracing::info!("the coordinator hung up, looking for it again"),
            Err(error) => tracing::warn!(%error, "no stream, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = &mut shutdown => return Ok(()),
        }
    }
}

// === impl Attendant ===

impl Attendant {
    /// Who we are, and what we serve now.
    fn hello(&self) -> Hello {
        Hello {
            name: self.options.name.clone(),
            device: self.options.device.to_string(),
            model: self.served.facts.clone(),
            fetches: self.fetcher.is_some(),
            failures: self.failures.recent(Instant::now()),
        }
    }

    /// Serves on a stream until it ends or we are to go; then the task in hand is finished first.
    async fn attend<S>(&mut self, mut link: Link, mut shutdown: Pin<&mut S>) -> Result<End, Error>
    where
        S: Future<Output = ()> + Send,
    {
        let ended = loop {
            let Served { device, outcomes, .. } = &mut self.served;
            let word = tokio::select! {
                word = link.serve(device, outcomes) => word,
                () = shutdown.as_mut() => return self.leave(link).await,
            };
            let Ok(Word::Serve { model }) = word else { break word };
            let changed = tokio::select! {
                changed = self.change(&mut link, model) => changed?,
                () = shutdown.as_mut() => return self.leave(link).await,
            };
            if let Some(word) = changed {
                break word;
            }
        };
        match ended {
            Err(LinkError::Drained) => {
                tracing::info!("drained: the task in hand is finished, then this worker ends");
                self.leave(link).await
            }
            Ok(Word::Serve { .. }) => Ok(End::Stream(Err(LinkError::Twice))),
            ended => Ok(End::Stream(ended.map(drop))),
        }
    }

    async fn leave(&mut self, link: Link) -> Result<End, Error> {
        link.leave(&self.served.device, &mut self.served.outcomes).await?;
        Ok(End::Left)
    }

    /// Gets a model, serves it from then on, and says so. Returns the word that came meanwhile, if the stream is not to be
    /// served on.
    async fn change(
        &mut self,
        link: &mut Link,
        model: ContentHash,
    ) -> Result<Option<Result<Word, LinkError>>, Error> {
        let Some(fetcher) = self.fetcher.clone() else { return Ok(Some(Err(LinkError::Unasked))) };
        let Served { device, outcomes, .. } = &mut self.served;
        let fetched = tokio::select! {
            fetched = fetcher.get(link.library(), model) => fetched,
            word = link.serve(device, outcomes) => return Ok(Some(word)),
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                self.report(link, model, Err(error.to_string())).await;
                return Ok(None);
            }
        };
        match link.finish(device, outcomes).await {
            Ok(None) => {}
            Ok(Some(word)) => return Ok(Some(Ok(word))),
            Err(error) => return Ok(Some(Err(error))),
        }
        // The old model goes first: the device may have no room for two.
        let nothing = blocking(Served::nothing).await??;
        std::mem::replace(&mut self.served, nothing).end().await;
        let options = self.options.clone();
        let mut loading: JoinHandle<Result<Served, Error>> =
            spawn_blocking(move || Served::fetched(&options, fetched));
        let (loaded, word) = tokio::select! {
            loaded = &mut loading => (loaded, None),
            word = link.hold() => match word {
                Err(LinkError::Drained) => return Ok(Some(word)),
                // It is served on the next stream.
                word => (loading.await, Some(word)),
            },
        };
        let loaded = match loaded.map_err(|_| Error::Start)? {
            Ok(served) => {
                self.served = served;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
        self.report(link, model, loaded).await;
        Ok(word)
    }

    /// Says hello anew, with a model or with why it could not be got.
    async fn report(&mut self, link: &Link, model: ContentHash, got: Result<(), String>) {
        match got {
            Ok(()) => {
                tracing::info!(%model, "serving another model");
                self.failures.forget(model);
            }
            Err(message) => {
                tracing::warn!(%model, message, "a model could not be got");
                self.failures.note(model, message, Instant::now());
            }
        }
        link.renew(self.hello()).await;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|_| Error::Start)
}

/// Waits until nothing of an ended stream is left on the device.
///
/// Leases are numbers that a restarted coordinator gives out again: an outcome of the old one must never reach the new.
async fn clear(device: &Device, outcomes: &mut mpsc::Receiver<Outcome>) -> Result<(), Gone> {
    let (done, mut cleared) = oneshot::channel();
    device.tell(Order::Reset { done })?;
    loop {
        tokio::select! {
            cleared = &mut cleared => break cleared.map_err(|_| Gone)?,
            outcome = outcomes.recv() => drop(outcome.ok_or(Gone)?),
        }
    }
    while outcomes.try_recv().is_ok() {}
    Ok(())
}
