//! The worker processes of one command: recipes in, their fates out; a worker that dies is started again.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use super::worker::{End, Recipe};

/// How often one worker is started again: a fault that comes back three times will not go away.
const RESTARTS: u32 = 3;

/// Pause before a restart, so that a worker that dies at once does not keep a core busy.
const PAUSE: Duration = Duration::from_millis(200);

/// Events not yet taken; each worker has few.
const EVENTS: usize = 16;

/// Running worker processes.
#[derive(Debug)]
pub(crate) struct Fleet {
    events: mpsc::Receiver<Fate>,
    supervisors: JoinSet<()>,
    stop: watch::Sender<bool>,
    alive: usize,
}

/// What happened to a worker, as far as the job is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It died and was started again.
    Restarted {
        /// One line for people.
        note: String,
    },
    /// It died too often; others go on.
    Lost {
        /// One line for people.
        note: String,
    },
    /// It died too often, and it was the last.
    AllLost {
        /// Why, as one sentence.
        sentence: String,
    },
    /// It refuses its device, model or library; starting it again would not help.
    Refused {
        /// Its sentence.
        sentence: String,
    },
}

/// What happened to one worker.
#[derive(Debug)]
enum Fate {
    Restarted { name: String, why: String },
    Lost { name: String, why: String },
    Refused { sentence: String },
}

// === impl Fleet ===

impl Fleet {
    /// Starts a process per recipe.
    pub(super) fn start(recipes: impl Iterator<Item = Recipe>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let (stop, stopped) = watch::channel(false);
        let mut supervisors = JoinSet::new();
        for recipe in recipes {
            supervisors.spawn(supervise(recipe, sender.clone(), stopped.clone()));
        }
        Self { alive: supervisors.len(), events, supervisors, stop }
    }

    /// Waits for the next event; safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Event {
        let Some(fate) = self.events.recv().await else {
            // All supervisors have told their end already.
            return std::future::pending().await;
        };
        match fate {
            Fate::Restarted { name, why } => {
                Event::Restarted { note: format!("worker {name} died ({why}) and was started again") }
            }
            Fate::Refused { sentence } => Event::Refused { sentence },
            Fate::Lost { name, why } => {
                self.alive = self.alive.saturating_sub(1);
                if self.alive == 0 {
                    Event::AllLost {
                        sentence: format!("no worker is left: {name} died {} times ({why})", RESTARTS + 1),
                    }
                } else {
                    Event::Lost { note: format!("worker {name} died once more ({why}); the others go on") }
                }
            }
        }
    }

    /// Kills the processes and waits until they are gone; where this is dropped, they are killed without the wait.
    pub(super) async fn stop(self) {
        let Self { events, mut supervisors, stop, .. } = self;
        // Nobody listens from here on: a supervisor that waits for room in the channel shall not.
        drop(events);
        // Supervisors that have ended need no word.
        let _ = stop.send(true);
        while supervisors.join_next().await.is_some() {}
    }
}

/// Keeps one worker running until told to stop, or until that is in vain.
async fn supervise(recipe: Recipe, events: mpsc::Sender<Fate>, mut stop: watch::Receiver<bool>) {
    let name = format!("{} ({})", recipe.name, recipe.device);
    for restarts in 0..=RESTARTS {
        let Some(end) = recipe.run(stopped(&mut stop)).await else {
            return;
        };
        let name = name.clone();
        let fate = match end {
            End::Refused { sentence } => Fate::Refused { sentence },
            End::Died { why } if restarts < RESTARTS => Fate::Restarted { name, why },
            End::Died { why } => Fate::Lost { name, why },
        };
        let over = !matches!(fate, Fate::Restarted { .. });
        let report = async {
            let heard = events.send(fate).await.is_ok();
            if heard && !over {
                sleep(PAUSE).await;
            }
            heard && !over
        };
        let again = tokio::select! {
            again = report => again,
            () = stopped(&mut stop) => false,
        };
        if !again {
            return;
        }
    }
}

/// Waits until the fleet is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A dropped sender means the same as a message.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::*;

    /// A stand-in for our executable that does what `script` says.
    fn recipe(folder: &Path, script: &str) -> Recipe {
        let executable = folder.join("worker.sh");
        fs::write(&executable, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
        Recipe {
            executable,
            coordinator: "127.0.0.1:1".parse().unwrap(),
            name: "local-1".to_owned(),
            device: "sim:5".parse().unwrap(),
            model: None,
            upscaler: None,
            onnxruntime: None,
            fuse: true,
            spill: tessera_worker::exact::Spill::default(),
        }
    }

    #[tokio::test]
    async fn a_worker_that_refuses_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo 'error: the model is broken' >&2; echo >&2; exit 2";
        let mut fleet = Fleet::start([recipe(folder.path(), script)].into_iter());
        let sentence = "the model is broken".to_owned();
        assert_eq!(fleet.next().await, Event::Refused { sentence });
        fleet.stop().await;
    }

    #[tokio::test]
    async fn a_worker_that_dies_is_started_three_times_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::start([recipe(folder.path(), "kill -9 $$")].into_iter());
        for _ in 0..RESTARTS {
            let note = "worker local-1 (sim:5) died (killed by signal 9) and was started again".to_owned();
            assert_eq!(fleet.next().await, Event::Restarted { note });
        }
        let sentence = "no worker is left: local-1 (sim:5) died 4 times (killed by signal 9)".to_owned();
        assert_eq!(fleet.next().await, Event::AllLost { sentence });
        fleet.stop().await;
    }

    #[tokio::test]
    async fn stopping_waits_for_no_listener() {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = recipe(folder.path(), "");
        recipe.executable = folder.path().join("none");
        let mut fleet = Fleet::start(std::iter::repeat_n(recipe, 3 * EVENTS));
        // More workers die than the channel holds events.
        fleet.next().await;
        tokio::time::timeout(Duration::from_secs(10), fleet.stop()).await.expect("a supervisor goes on");
    }

    #[tokio::test]
    async fn stopping_leaves_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", pid_file.display());
        let fleet = Fleet::start([recipe(folder.path(), &script)].into_iter());
        let pid = loop {
            match fs::read_to_string(&pid_file).map(|text| text.trim().to_owned()) {
                Ok(pid) if !pid.is_empty() => break pid,
                _ => sleep(Duration::from_millis(10)).await,
            }
        };
        fleet.stop().await;
        let gone = !Path::new("/proc").join(&pid).exists();
        assert!(gone || !cfg!(target_os = "linux"), "process {pid} is left");
    }
}
