//! The laws of swapping, under schedules made by chance: what serves is what a plain model says, no call is lost or answered by a
//! version that did not serve while it ran, the last good version is kept, and at most three before it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{
    slot::{Before, Switch},
    tests::{Host, batch, context, host},
    *,
};
use crate::{plugins::grants::GrantsText, wasm::cache::Digest};

const VERSIONS: usize = 6;
const CRASH: &str = "{\"crash\":1}";

/// A host and the versions of one plugin: each gives its own number for a score.
struct Stage {
    runtime: Runtime,
    host: Host,
    name: PluginName,
    files: Vec<Arc<[u8]>>,
}

impl Stage {
    fn shared() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let host = runtime.block_on(async { host() });
        Self { runtime, host, name: "judge".parse().unwrap(), files: (0..VERSIONS).map(file).collect() }
    }

    fn digest(&self, version: usize) -> String {
        Digest::of(&self.files[version]).to_string()
    }

    async fn load(&self, version: usize) {
        self.host.plugins.load(&self.name, Arc::clone(&self.files[version]), Source::Folder).await.unwrap();
    }

    async fn roll_back(&self) -> bool {
        let slot = self.host.plugins.slot(&self.name).unwrap();
        let Some(Before::Ready(release)) = slot.before() else { return false };
        let staged = self.host.plugins.stage_again(&slot, &release).await;
        staged.serve();
        true
    }

    /// Calls, and says which version answered; all of an answer is by one.
    async fn call(&self, config: &str) -> Result<usize, CallError> {
        let evaluated = self.host.plugins.evaluate(&self.name, context(config), batch(&[&[1.0], &[2.0]]), None).await?;
        let version = evaluated.verdicts.scores[0] as usize;
        assert_eq!(evaluated.verdicts.scores, [version as f64; 2]);
        assert_eq!(evaluated.by.digest, self.digest(version), "who answered is who is said to have answered");
        Ok(version)
    }
}

fn file(version: usize) -> Arc<[u8]> {
    let evaluate = format!(
        "(if (i32.gt_u (i32.load offset=16 (local.get 0)) (i32.const 2)) (then unreachable))
         (f64.store (i32.const 3000) (f64.const {version})) (f64.store (i32.const 3008) (f64.const {version}))
         (i32.store (i32.const 2052) (i32.const 1024)) (i32.store (i32.const 2056) (i32.const 2))
         (i32.store (i32.const 2060) (i32.const 3000)) (i32.store (i32.const 2064) (i32.const 2))
         (i32.const 2048)"
    );
    looma_tests::plugins::evaluator("judge", "(i32.const 512)", &evaluate).into()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Load(usize),
    Broken,
    Back,
    Call,
    Crash,
    Grant(u64),
    Off,
    On,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..VERSIONS).prop_map(Step::Load),
        1 => Just(Step::Broken),
        2 => Just(Step::Back),
        3 => Just(Step::Call),
        4 => Just(Step::Crash),
        1 => (4..8_u64).prop_map(Step::Grant),
        1 => Just(Step::Off),
        2 => Just(Step::On),
    ]
}

/// What ought to be.
#[derive(Debug, Default)]
struct Model {
    current: Option<usize>,
    earlier: Vec<usize>,
    off: bool,
}

impl Model {
    fn serve(&mut self, version: usize) {
        if self.current == Some(version) {
            return;
        }
        self.earlier.retain(|&earlier| earlier != version);
        if let Some(before) = self.current.replace(version) {
            self.earlier.insert(0, before);
        }
        self.earlier.truncate(3);
    }
}

async fn take(stage: &Stage, model: &mut Model, step: Step) {
    let plugins = &stage.host.plugins;
    match step {
        Step::Load(version) => {
            stage.load(version).await;
            model.serve(version);
        }
        Step::Broken => {
            drop(plugins.load(&stage.name, b"\0asm broken".as_slice().into(), Source::Folder).await.unwrap_err())
        }
        Step::Back => {
            assert_eq!(stage.roll_back().await, !model.earlier.is_empty());
            if let Some(&version) = model.earlier.first() {
                model.serve(version);
            }
        }
        Step::Call => match stage.call("{}").await {
            Ok(version) => assert!(Some(version) == model.current && !model.off),
            Err(CallError::NotServing { state, .. }) => {
                assert!(state == State::Quarantined || model.off || model.current.is_none());
            }
            Err(other) => panic!("{other:?}"),
        },
        Step::Crash => {
            let failed = stage.call(CRASH).await.unwrap_err();
            assert!(matches!(failed, CallError::Trap(_) | CallError::NotServing { .. }), "{failed:?}");
            // A version may be rolled back by itself, and then to the one before it.
            let serves = plugins.digest(&stage.name);
            if let Some(&before) = model.earlier.first().filter(|&&before| serves == Some(stage.digest(before))) {
                model.serve(before);
            }
        }
        Step::Grant(mib) => {
            let text = GrantsText { memory_bytes: mib << 20, ..GrantsText::default() };
            plugins.set_grants(&stage.name, Grants::parse(&text).unwrap());
        }
        Step::Off | Step::On => {
            model.off = matches!(step, Step::Off);
            plugins.slot(&stage.name).unwrap().switch(if model.off { Switch::Off } else { Switch::On });
        }
    }
}

fn assert_fits(stage: &Stage, model: &Model) {
    let plugins = &stage.host.plugins;
    assert_eq!(plugins.digest(&stage.name), model.current.map(|version| stage.digest(version)));
    if let Some(info) = plugins.get(&stage.name).filter(|_| model.current.is_some()) {
        let previous: Vec<String> = info.previous.into_iter().map(|earlier| earlier.digest).collect();
        let expected: Vec<String> = model.earlier.iter().map(|&version| stage.digest(version)).collect();
        assert_eq!(previous, expected);
        assert!(previous.len() <= slot::EARLIER);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_serves_is_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = Stage::shared();
        stage.runtime.block_on(async {
            let plugins = &stage.host.plugins;
            plugins.forget(&stage.name);
            plugins.set_grants(&stage.name, Grants::default());
            let mut model = Model::default();
            for step in steps {
                take(stage, &mut model, step).await;
                assert_fits(stage, &model);
            }
        });
    }
}

/// Calls that run beside swaps and rollbacks are all answered, each by a version that served while it ran.
#[test]
fn calls_beside_swaps_are_answered_by_what_serves() {
    let own = Stage::new();
    let mut chance = looma_tests::fuzz::Chance::new(7);
    own.runtime.block_on(async {
        own.load(0).await;
        // What serves from each moment on; a moment is taken before the swap, so that it never comes too late.
        let served = Mutex::new(vec![0]);
        let (stop, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let caller = || async {
            while stop.load(Ordering::Relaxed) == 0 {
                let from = served.lock().unwrap().len().saturating_sub(2);
                let version = own.call("{}").await.unwrap();
                let to = served.lock().unwrap().len();
                let seen = served.lock().unwrap()[from..to].to_vec();
                assert!(seen.contains(&version), "{version} answered, {seen:?} served");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        };
        let swaps = async {
            for _ in 0..200 {
                let version = chance.below(VERSIONS);
                served.lock().unwrap().push(version);
                own.load(version).await;
                let before = answered.load(Ordering::Relaxed);
                while answered.load(Ordering::Relaxed) < before + chance.below(3) {
                    tokio::task::yield_now().await;
                }
            }
            stop.store(1, Ordering::Relaxed);
        };
        tokio::join!(caller(), caller(), caller(), swaps);
        assert!(answered.load(Ordering::Relaxed) > 0);
    });
}
