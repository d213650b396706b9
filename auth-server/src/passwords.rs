//! [`Passwords`]: argon2id (RFC 9106) on a few threads of its own. A login storm fills their queue and then hears «come
//! back later»; it neither takes memory without bound nor the threads that serve everything else.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version};
use shared::Platform;
use shared::random::Random;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The longest password taken, in bytes as sent. Nothing is ever cut off.
pub const MAX_BYTES: usize = 1024;

/// How long an idle worker keeps its memory: within a storm it is used again, afterwards it is given back.
const MEMORY_KEPT: Duration = Duration::from_secs(2);

/// What a caller should wait when the queue is full.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Hashes and verifies passwords. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Passwords {
    pool: Arc<Pool>,
    params: Params,
    random: Random,
    /// Verified for accounts that don't exist, so that they take as long as the others.
    dummy: Arc<str>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordError {
    #[error("too many passwords wait to be hashed; again in {retry_after:?}")]
    Busy { retry_after: Duration },
    #[error("a password may have {MAX_BYTES} bytes at most")]
    TooLong,
    #[error("a stored password hash can't be read")]
    Stored,
    #[error("a password can't be judged")]
    Broken,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Passwords {
    /// Starts the threads that `passwords.workers` asks for.
    ///
    /// # Panics
    /// When the machine has no thread to give: the service can't start then.
    pub fn new(platform: &Platform) -> Self {
        let config = &platform.config.passwords;
        let params = Params::new(config.memory_kib, config.iterations, config.parallelism, Some(32))
            .expect("the configuration was checked against argon2's bounds");
        let workers = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n as usize,
        };
        // No need to hash anything for it: that no password gives this output does not change what verifying costs.
        let dummy = phc(&params, &platform.random.bytes::<16>(), &platform.random.bytes::<32>());
        Self {
            pool: Arc::new(Pool::start(workers, config.queue as usize)),
            params,
            random: platform.random.clone(),
            dummy: dummy.into(),
        }
    }

    /// The hash of a new password, in PHC string format.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        if password.len() > MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        let salt = self.random.bytes::<16>();
        let output = self.pool.run(self.params.clone(), password, salt.to_vec()).await?;
        Ok(phc(&self.params, &salt, &*output))
    }

    /// Does `password` belong to `phc`? Without one it never does, and takes the same time to say so.
    pub async fn verify(&self, phc: Option<&str>, password: &str) -> Result<bool, PasswordError> {
        if password.len() > MAX_BYTES {
            // Nobody has such a password, and that says nothing about any account.
            return Ok(false);
        }
        let known = phc.is_some();
        let stored = PasswordHash::new(phc.unwrap_or(&self.dummy)).map_err(|_| PasswordError::Stored)?;
        let params = Params::try_from(&stored).map_err(|_| PasswordError::Stored)?;
        let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else { return Err(PasswordError::Stored) };
        if stored.algorithm != ARGON2ID_IDENT || stored.version != Some(Version::V0x13.into()) || expected.len() != 32 {
            return Err(PasswordError::Stored);
        }
        let output = self.pool.run(params, password, salt.as_ref().to_vec()).await?;
        Ok(known & bool::from(output.as_slice().ct_eq(expected.as_bytes())))
    }

    /// Does something that takes long for some passwords, in the same queue and on the same threads.
    pub async fn think<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (reply, answer) = oneshot::channel();
        self.pool.push(Job::Other(Box::new(move || {
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        })))?;
        answer.await.map_err(|_| PasswordError::Broken)
    }

    /// Was `phc` made with other parameters than those configured now?
    pub fn needs_rehash(&self, phc: &str) -> bool {
        let stored = PasswordHash::new(phc).ok().and_then(|hash| Params::try_from(&hash).ok());
        stored.is_none_or(|stored| {
            (stored.m_cost(), stored.t_cost(), stored.p_cost())
                != (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
        })
    }
}

fn phc(params: &Params, salt: &[u8], output: &[u8]) -> String {
    PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).expect("argon2's parameters fit the format"),
        salt: Some(Salt::new(salt).expect("16 bytes are a salt")),
        hash: Some(Output::new(output).expect("32 bytes are an output")),
    }
    .to_string()
}

/// What one of the threads is to do.
enum Job {
    Hash(Hash),
    Other(Box<dyn FnOnce() + Send>),
}

/// One hash to compute.
struct Hash {
    params: Params,
    password: Zeroizing<Vec<u8>>,
    salt: Vec<u8>,
    reply: oneshot::Sender<Zeroizing<[u8; 32]>>,
}

impl Job {
    /// Nobody waits for it any more, as far as can be told.
    fn is_abandoned(&self) -> bool {
        matches!(self, Self::Hash(hash) if hash.reply.is_closed())
    }
}

struct Pool {
    queue: Arc<Queue>,
    longest: usize,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn start(workers: usize, longest: usize) -> Self {
        let queue = Arc::new(Queue::default());
        for n in 0..workers {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("password-{n}"))
                .stack_size(1024 * 1024)
                .spawn(move || work(&queue))
                .expect("the system has threads to give");
        }
        Self { queue, longest }
    }

    async fn run(&self, params: Params, password: &str, salt: Vec<u8>) -> Result<Zeroizing<[u8; 32]>, PasswordError> {
        // NFKC, so that «é» typed on another keyboard is the same password (NIST SP 800-63B §3.1.1.2).
        let password = Zeroizing::new(password.nfkc().collect::<String>().into_bytes());
        let (reply, answer) = oneshot::channel();
        self.push(Job::Hash(Hash { params, password, salt, reply }))?;
        // A worker drops a job unanswered only if argon2 refused its parameters, which only a stored hash can cause.
        answer.await.map_err(|_| PasswordError::Stored)
    }

    fn push(&self, job: Job) -> Result<(), PasswordError> {
        let mut jobs = self.queue.lock();
        if jobs.waiting.len() >= self.longest {
            // Those whose callers have left stand in nobody's way.
            jobs.waiting.retain(|job| !job.is_abandoned());
        }
        if jobs.waiting.len() >= self.longest {
            tracing::warn!("the queue of passwords to hash is full");
            return Err(PasswordError::Busy { retry_after: RETRY_AFTER });
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

/// What one thread does.
fn work(queue: &Queue) {
    // Hashing waits for whatever else the machine has to do: with all cores busy, a page is still served at once. On
    // Linux the priority is the calling thread's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "password threads keep the normal priority");
    }
    let mut memory: Vec<Block> = Vec::new();
    while let Some(job) = next(queue, &mut memory) {
        let job = match job {
            Job::Hash(hash) if hash.reply.is_closed() => continue,
            Job::Hash(hash) => hash,
            Job::Other(work) => {
                // The thread serves others after it.
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    tracing::error!("judging a password panicked");
                }
                continue;
            }
        };
        let needed = job.params.block_count();
        if memory.len() < needed {
            memory.resize(needed, Block::default());
        }
        let mut output = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, job.params);
        let done = argon2.hash_password_into_with_memory(&job.password, &job.salt, &mut *output, &mut memory[..needed]);
        if done.is_ok() {
            let _ = job.reply.send(output);
        }
    }
}

/// Waits for a job; `None` when the pool is closed. Gives the memory back when there is none for a while.
fn next(queue: &Queue, memory: &mut Vec<Block>) -> Option<Job> {
    let mut jobs = queue.lock();
    loop {
        if let Some(job) = jobs.waiting.pop_front() {
            return Some(job);
        }
        if jobs.closed {
            return None;
        }
        if memory.is_empty() {
            jobs = queue.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        } else {
            let (guard, waited) = queue.changed.wait_timeout(jobs, MEMORY_KEPT).unwrap_or_else(PoisonError::into_inner);
            jobs = guard;
            if waited.timed_out() {
                *memory = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::{Scratch, Store};

    use super::*;

    async fn passwords(overrides: &[(&str, &str)]) -> (Passwords, Scratch) {
        let scratch = Scratch::new(Store::Embedded).await.unwrap();
        let overrides: Vec<_> = [("PASSWORDS__MEMORY_KIB", "7168"), ("PASSWORDS__ITERATIONS", "1")]
            .into_iter()
            .chain(overrides.iter().copied())
            .collect();
        let platform = scratch.platform(&overrides).await;
        (Passwords::new(&platform), scratch)
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_is() {
        let (passwords, _scratch) = passwords(&[]).await;
        let phc = passwords.hash("correct horse").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=7168,t=1,p=1$"), "{phc}");
        assert!(passwords.verify(Some(&phc), "correct horse").await.unwrap());
        assert!(!passwords.verify(Some(&phc), "correct horsf").await.unwrap());
        assert_ne!(phc, passwords.hash("correct horse").await.unwrap(), "each hash has a salt of its own");
        // Nothing is cut off.
        let long = "a".repeat(MAX_BYTES);
        let phc = passwords.hash(&long).await.unwrap();
        assert!(!passwords.verify(Some(&phc), &long[1..]).await.unwrap());
        assert_eq!(passwords.hash(&"a".repeat(MAX_BYTES + 1)).await, Err(PasswordError::TooLong));
    }

    #[tokio::test]
    async fn the_same_letters_in_another_composition_are_the_same_password() {
        let (passwords, _scratch) = passwords(&[]).await;
        let phc = passwords.hash("caf\u{e9} пароль").await.unwrap();
        assert!(passwords.verify(Some(&phc), "cafe\u{301} пароль").await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_account_is_verified_too_and_never_accepted() {
        let (passwords, _scratch) = passwords(&[]).await;
        assert!(!passwords.verify(None, "anything").await.unwrap());
        assert!(PasswordHash::new(&passwords.dummy).is_ok());
        assert!(!passwords.needs_rehash(&passwords.dummy), "the dummy costs what the others cost");
    }

    #[tokio::test]
    async fn a_hash_with_old_parameters_still_verifies_and_asks_to_be_made_anew() {
        let (old, _a) = passwords(&[("PASSWORDS__ITERATIONS", "2")]).await;
        let (new, _b) = passwords(&[]).await;
        let phc = old.hash("correct horse").await.unwrap();
        assert!(new.verify(Some(&phc), "correct horse").await.unwrap());
        assert!(new.needs_rehash(&phc) && !old.needs_rehash(&phc));
        for broken in ["", "$argon2id$v=19$m=64,t=1,p=1", "$2b$12$abc", "plain"] {
            assert_eq!(new.verify(Some(broken), "x").await, Err(PasswordError::Stored), "{broken}");
        }
    }

    #[tokio::test]
    async fn what_takes_long_is_thought_about_on_the_same_threads_and_a_panic_ends_none() {
        let (passwords, _scratch) = passwords(&[("PASSWORDS__WORKERS", "1")]).await;
        let named = || std::thread::current().name().map(str::to_owned);
        assert_eq!(passwords.think(named).await.unwrap().as_deref(), Some("password-0"));
        assert_eq!(passwords.think(|| panic!("on purpose")).await, Err::<(), _>(PasswordError::Broken));
        assert!(passwords.hash("correct horse").await.is_ok());
    }

    #[tokio::test]
    async fn beyond_the_queue_a_caller_is_told_to_come_back() {
        let (passwords, _scratch) =
            passwords(&[("PASSWORDS__WORKERS", "1"), ("PASSWORDS__QUEUE", "2"), ("PASSWORDS__MEMORY_KIB", "7168")])
                .await;
        let storm = (0..20).map(|_| passwords.hash("correct horse"));
        let answers = futures::future::join_all(storm).await;
        let busy = answers.iter().filter(|a| matches!(a, Err(PasswordError::Busy { .. }))).count();
        let hashed = answers.iter().filter(|a| a.is_ok()).count();
        assert!(hashed >= 2 && busy >= 16 && hashed + busy == 20, "{hashed} hashed, {busy} turned away");
        // Callers who left make room.
        drop((0..2).map(|_| passwords.pool.run(passwords.params.clone(), "x", vec![0; 16])).collect::<Vec<_>>());
        assert!(passwords.hash("correct horse").await.is_ok());
    }
}
