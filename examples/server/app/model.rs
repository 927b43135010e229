//! The thread that owns MLX.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use zmlx::llm::{self, Chosen, Engine, EngineOptions, Finish, Id, Language, Request};
use zmlx::worker::Job;
use zmlx::{Result, Worker};

use super::metrics::{Metrics, add};
use super::problem::Problem;

/// A token of a text, or why there are no more.
#[derive(Debug)]
pub enum Piece {
    Token(Chosen, Option<Finish>),
    /// The text took too long.
    Late,
    Failed(String),
}

/// The tokens of a text as they are computed. Dropping it ends the computation.
pub type Pieces = mpsc::UnboundedReceiver<Piece>;

struct Order {
    request: Request,
    deadline: Instant,
    reply: oneshot::Sender<std::result::Result<Pieces, Problem>>,
}

/// A handle on the thread. It ends when the last handle is gone and all texts are finished.
#[derive(Clone)]
pub struct ModelThread {
    orders: mpsc::Sender<Order>,
    language: Arc<Language>,
    metrics: Arc<Metrics>,
    longest: usize,
    vocabulary: usize,
}

/// What the thread's end is waited for with.
pub struct Running {
    job: Job<()>,
    worker: Worker<Engine>,
}

impl ModelThread {
    /// Loads a model on a thread of its own, and computes a little there, so that all kernels are compiled.
    ///
    /// # Errors
    /// What loading fails with.
    pub fn start(path: &Path, options: impl Into<EngineOptions>) -> Result<(ModelThread, Running)> {
        let path = path.to_owned();
        let options = options.into();
        let (say, told) = std::sync::mpsc::channel();
        let worker = Worker::spawn(move || {
            let (mut engine, language) = llm::load_with(&path, options)?.into_parts();
            engine.warm_up()?;
            let vocabulary = engine.model().config().vocabulary as usize;
            // The other end waits until this function is over.
            let _ = say.send((language, engine.longest(), vocabulary));
            Ok(engine)
        })?;
        let (language, longest, vocabulary) = told.recv().map_err(zmlx::Error::other)?;
        // Orders that wait for the end of a computation; the engine has a queue of its own.
        let (orders, inbox) = mpsc::channel(options.limits.waiting.max(1));
        let metrics = Arc::new(Metrics::default());
        let job = {
            let metrics = metrics.clone();
            worker.run(move |engine| {
                serve(engine, inbox, &metrics);
                Ok(())
            })
        };
        let thread = ModelThread {
            orders,
            language,
            metrics,
            longest,
            vocabulary,
        };
        Ok((thread, Running { job, worker }))
    }

    pub fn language(&self) -> &Arc<Language> {
        &self.language
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The most tokens of a text, its prompt included.
    pub fn longest(&self) -> usize {
        self.longest
    }

    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Whether the thread still takes orders.
    pub fn is_alive(&self) -> bool {
        !self.orders.is_closed()
    }

    /// Asks for a text.
    pub async fn submit(
        &self,
        request: Request,
        deadline: Instant,
    ) -> std::result::Result<Pieces, Problem> {
        let (reply, answer) = oneshot::channel();
        let order = Order {
            request,
            deadline,
            reply,
        };
        match self.orders.try_send(order) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(Problem::stopping())),
            Err(TrySendError::Full(_)) => Err(Problem::busy()),
            Err(TrySendError::Closed(_)) => Err(Problem::stopping()),
        }
    }
}

impl Running {
    /// Waits until the thread has nothing left to do.
    ///
    /// # Errors
    /// What it failed with.
    pub fn wait(self) -> Result<()> {
        let outcome = self.job.wait();
        drop(self.worker);
        outcome
    }
}

struct Text {
    pieces: mpsc::UnboundedSender<Piece>,
    deadline: Instant,
    begun: Option<Instant>,
}

/// Takes orders between two computations, until nobody can send any more.
fn serve(engine: &mut Engine, mut inbox: mpsc::Receiver<Order>, metrics: &Metrics) {
    let mut texts: HashMap<Id, Text> = HashMap::new();
    loop {
        metrics.publish(engine.counts());
        if engine.is_idle() {
            match inbox.blocking_recv() {
                Some(order) => take(engine, order, &mut texts, metrics),
                None => return,
            }
        }
        while let Ok(order) = inbox.try_recv() {
            take(engine, order, &mut texts, metrics);
        }
        let now = Instant::now();
        texts.retain(|&id, text| {
            let left = text.pieces.is_closed();
            let late = now >= text.deadline;
            if left {
                add(&metrics.left, 1);
            } else if late {
                add(&metrics.late, 1);
                let _ = text.pieces.send(Piece::Late);
            }
            if left || late {
                engine.cancel(id);
            }
            !left && !late
        });
        match engine.step() {
            Ok(events) => {
                for event in events {
                    let Some(text) = texts.get_mut(&event.id) else {
                        continue;
                    };
                    if let Some(begun) = text.begun.take() {
                        add(
                            &metrics.first_token_micros,
                            begun.elapsed().as_micros() as u64,
                        );
                        add(&metrics.first_tokens, 1);
                    }
                    // A client that is gone is found above.
                    let _ = text.pieces.send(Piece::Token(event.chosen, event.finish));
                    if event.finish.is_some() {
                        texts.remove(&event.id);
                    }
                }
            }
            Err(problem) => {
                // The engine has ended all of them.
                add(&metrics.failed, texts.len() as u64);
                for (_, text) in texts.drain() {
                    let _ = text.pieces.send(Piece::Failed(problem.to_string()));
                }
            }
        }
    }
}

fn take(engine: &mut Engine, order: Order, texts: &mut HashMap<Id, Text>, metrics: &Metrics) {
    if order.reply.is_closed() {
        add(&metrics.left, 1);
        return;
    }
    let (pieces, receiver) = mpsc::unbounded_channel();
    let answer = match engine.submit(order.request) {
        Ok(Some(id)) => {
            add(&metrics.taken, 1);
            let text = Text {
                pieces,
                deadline: order.deadline,
                begun: Some(Instant::now()),
            };
            texts.insert(id, text);
            Ok(receiver)
        }
        Ok(None) => Err(Problem::busy()),
        Err(e) => Err(Problem::from(e)),
    };
    // A client that has gone meanwhile drops the receiver, which is found before the next computation.
    let _ = order.reply.send(answer);
}
