//! [`Trap`]: a port of this machine that nobody may be led to. It counts who came, and answers nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub struct Trap {
    pub port: u16,
    came: Arc<AtomicUsize>,
}

impl Trap {
    /// Whoever comes is sent away at once.
    pub async fn start() -> Self {
        Self::with(drop).await
    }

    /// Whoever comes waits for an answer until they lose patience.
    pub async fn silent() -> Self {
        let mut held = vec![];
        Self::with(move |stream| held.push(stream)).await
    }

    async fn with(mut receive: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let came = Arc::new(AtomicUsize::default());
        let counted = came.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                receive(stream);
            }
        });
        Self { port, came }
    }

    /// How many connections were made.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// https URLs of the port with this path: by an address, in disguise, and by a name that has to be resolved.
    pub fn urls(&self, path: &str) -> [String; 3] {
        ["127.0.0.1", "[::ffff:7f00:1]", "localhost"].map(|host| format!("https://{host}:{}{path}", self.port))
    }
}
