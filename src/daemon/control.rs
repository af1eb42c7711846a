//! What happens beside the loop: status is asked for on the control socket, names are looked up by other threads.
//! Their tasks run on smol's executor on the loop's own thread; a bell ends the loop's wait when one can go on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{self, Future};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use smol::LocalExecutor;

use super::resolve::Resolver;
use super::socket::{self, Request};
use crate::cli::Failure;
use crate::link::Query;
use crate::sys::wait::Bell;

/// What the loop is told.
pub enum Message {
    Status(Request),
    Resolved(Query, Result<Vec<IpAddr>, String>),
}

pub struct Control {
    bell: Arc<Bell>,
    tasks: Pin<Box<dyn Future<Output = ()>>>,
    inbox: Rc<RefCell<VecDeque<Message>>>,
    resolver: Resolver<Query>,
    path: PathBuf,
}

impl Control {
    /// Opens the control socket at `path`; its directory exists, and nobody else runs this network.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let bell = Bell::new().map_err(|error| Failure::runtime(format!("eventfd: {error}")))?;
        let listener = socket::listen(path).map_err(|error| Failure::runtime(error.to_string()))?;
        let (requests, asked) = smol::channel::bounded(4);
        let (answers, resolved) = smol::channel::bounded(64);
        let inbox = Rc::new(RefCell::new(VecDeque::new()));
        let executor = LocalExecutor::new();
        executor.spawn(socket::serve(listener, requests)).detach();
        executor.spawn(collect(asked, inbox.clone(), Message::Status)).detach();
        let pair = |(query, answer)| Message::Resolved(query, answer);
        executor.spawn(collect(resolved, inbox.clone(), pair)).detach();
        let tasks = Box::pin(async move { executor.run(future::pending::<()>()).await });
        Ok(Self { bell, tasks, inbox, resolver: Resolver::new(answers), path: path.to_owned() })
    }

    pub fn resolve(&self, query: Query) {
        let host = query.host.clone();
        self.resolver.resolve(query, &host);
    }

    /// Lets the tasks go on; call when the bell has rung, and once before the first wait.
    pub fn turn(&mut self) {
        self.bell.clear();
        let waker = self.bell.waker();
        // Runs for as long as the daemon does.
        let _ = self.tasks.as_mut().poll(&mut Context::from_waker(&waker));
    }

    pub fn next(&self) -> Option<Message> {
        self.inbox.borrow_mut().pop_front()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

async fn collect<T>(
    from: smol::channel::Receiver<T>,
    inbox: Rc<RefCell<VecDeque<Message>>>,
    wrap: fn(T) -> Message,
) {
    while let Ok(item) = from.recv().await {
        inbox.borrow_mut().push_back(wrap(item));
    }
}
