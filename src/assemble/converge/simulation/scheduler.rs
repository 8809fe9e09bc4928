//! A clock that advances from event to event, and the tasks that wait on it. A seed determines every choice.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Milliseconds since the start of a schedule.
pub type Time = u64;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// When a task is polled. The second number is random, so that tasks that wake at the same time run in any order.
type Wake = (Time, u32, usize);

#[derive(Clone)]
pub struct Scheduler(Rc<State>);

struct State {
    now: Cell<Time>,
    rng: RefCell<fastrand::Rng>,
    wakes: RefCell<BinaryHeap<Reverse<Wake>>>,
    spawned: RefCell<Vec<Task>>,
    /// The task that is being polled.
    current: Cell<usize>,
    trace: Option<RefCell<Vec<String>>>,
}

impl Scheduler {
    pub fn new(seed: u64, is_traced: bool) -> Self {
        Self(Rc::new(State {
            now: Cell::new(0),
            rng: RefCell::new(fastrand::Rng::with_seed(seed)),
            wakes: RefCell::default(),
            spawned: RefCell::default(),
            current: Cell::new(0),
            trace: is_traced.then(RefCell::default),
        }))
    }

    pub fn now(&self) -> Time {
        self.0.now.get()
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawned.borrow_mut().push(Box::pin(task));
    }

    /// Runs all tasks to their end, with the tasks that they spawn.
    pub fn run(&self) {
        let mut tasks: Vec<Option<Task>> = Vec::new();
        loop {
            for task in self.0.spawned.take() {
                tasks.push(Some(task));
                let number = tasks.len() - 1;
                self.poll(&mut tasks, number);
            }
            if !self.0.spawned.borrow().is_empty() {
                continue;
            }
            let Some(Reverse((time, _, task))) = self.0.wakes.borrow_mut().pop() else { return };
            self.0.now.set(time);
            self.poll(&mut tasks, task);
        }
    }

    fn poll(&self, tasks: &mut [Option<Task>], number: usize) {
        self.0.current.set(number);
        let Some(task) = &mut tasks[number] else { return };
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            tasks[number] = None;
        }
    }

    /// Waits for a time. Even without a time, other tasks may run first.
    pub async fn wait(&self, time: Time) {
        let mut until = None;
        std::future::poll_fn(|_| match until {
            Some(until) if self.now() >= until => Poll::Ready(()),
            Some(_) => Poll::Pending,
            None => {
                let at = self.now() + time;
                until = Some(at);
                let order = self.0.rng.borrow_mut().u32(..);
                self.0.wakes.borrow_mut().push(Reverse((at, order, self.0.current.get())));
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits for a time within a limit; see [`Self::time_within`].
    pub async fn wait_within(&self, limit: Time) {
        self.wait(self.time_within(limit)).await;
    }

    /// Returns a time within a limit. Every other time is close to one of the ends, where races are lost and won.
    pub fn time_within(&self, limit: Time) -> Time {
        match self.below(4) {
            0 => self.below(limit / 20 + 1),
            1 => limit - self.below(limit / 20 + 1),
            _ => self.below(limit + 1),
        }
    }

    /// Returns a number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.0.rng.borrow_mut().u64(..end)
    }

    /// Returns `true` once in `times`.
    pub fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn fraction(&self) -> f64 {
        self.0.rng.borrow_mut().f64()
    }

    /// Adds a line to the trace, if this schedule has one.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.0.trace {
            trace.borrow_mut().push(format!("{:>6} ms  {}", self.now(), text()));
        }
    }

    pub fn trace(&self) -> String {
        self.0.trace.as_ref().map(|trace| trace.borrow().join("\n")).unwrap_or_default()
    }
}
