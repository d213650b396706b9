//! [`Workers`]: the threads that answer requests. A connection stays with the one it was given to, as in nginx or
//! Envoy: on a runtime that moves tasks between threads, a good part of a short request's time went into waking the
//! other thread for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread;

use tokio::runtime::{Builder, Handle};

/// A thread for each core, for all services of the process.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// One more than the connections that it has.
    connections: Arc<()>,
}

/// Threads that each may have for what blocks: looking up the names of hosts, above all.
const BLOCKING: usize = 32;

/// A connection that a worker has, until it is dropped.
pub(super) struct Held {
    pub(super) by: Handle,
    _connection: Arc<()>,
}

/// As many as the program's own runtime has.
fn wanted() -> usize {
    let told =
        std::env::var("TOKIO_WORKER_THREADS").ok().and_then(|count| count.parse().ok()).filter(|count| *count > 0);
    told.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

impl Workers {
    /// The process's own. They start when they are first asked for.
    ///
    /// # Errors
    /// When the system gives no thread, or nothing to wait for sockets with.
    pub(super) fn of_this_process() -> io::Result<&'static Self> {
        static WORKERS: LazyLock<io::Result<Workers>> = LazyLock::new(|| Workers::start(wanted()));
        WORKERS.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }

    fn start(count: usize) -> io::Result<Self> {
        let worker = |number| {
            let runtime = Builder::new_current_thread()
                .enable_all()
                // What other threads bring (an answer of the database, a new connection) waits for few of its own.
                .global_queue_interval(7)
                .max_blocking_threads(BLOCKING)
                .build()?;
            let handle = runtime.handle().clone();
            // As long as the process: what other threads wait for, a connection of the database for one, may have been
            // opened here.
            let run = move || {
                let _ = catch_unwind(AssertUnwindSafe(|| runtime.block_on(std::future::pending::<()>())));
                // Its connections would be given to nobody else, and new ones to it: whoever watches starts us anew.
                tracing::error!("a thread that answers requests ended");
                std::process::abort();
            };
            thread::Builder::new().name(format!("answers-{number}")).spawn(run)?;
            Ok(Worker { runtime: handle, connections: Arc::default() })
        };
        (0..count).map(worker).collect::<io::Result<_>>().map(Self)
    }

    /// A place for one more connection, with the worker that has the fewest.
    pub(super) fn hold(&self) -> io::Result<Held> {
        let fewest = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.connections));
        let worker = fewest.ok_or_else(|| io::Error::other("no worker"))?;
        Ok(Held { by: worker.runtime.clone(), _connection: worker.connections.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_shared_out_evenly_whichever_of_them_end() {
        let workers = Workers::start(2).unwrap();
        let counts = || workers.0.iter().map(|w| Arc::strong_count(&w.connections) - 1).collect::<Vec<_>>();
        let held: Vec<_> = (0..4).map(|_| workers.hold().unwrap()).collect();
        assert_eq!(counts(), [2, 2]);
        let freed = held[0].by.id();
        let (of_one, mut held): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| held.by.id() == freed);
        drop(of_one);
        held.push(workers.hold().unwrap());
        assert_eq!(held[2].by.id(), freed, "the one with none is given the next");
        let thread = held[0].by.spawn(async { thread::current().name().map(str::to_owned) }).await.unwrap();
        assert!(thread.is_some_and(|name| name.starts_with("answers-")));
    }
}
