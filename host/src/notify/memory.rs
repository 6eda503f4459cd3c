//! Channels, routes and silences in memory, kept true from the feed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    channels::{self, CHANNELS, Channel, ChannelId},
    routing::{self, ROUTES, Route, RouteId},
    silences::{self, SILENCES, Silence, SilenceId},
    types::Told,
};
use crate::{
    clock::Timestamp,
    db::AsConn,
    feed::{Change, Feed},
    plugins::Plugins,
};

/// Channels, routes and silences. Clones share them.
#[derive(Clone, Default)]
pub struct Notify(Arc<RwLock<Memory>>);

#[derive(Default)]
struct Memory {
    channels: HashMap<ChannelId, Arc<Channel>>,
    /// In the order in which they are tried.
    routes: Vec<Arc<Route>>,
    silences: HashMap<SilenceId, Arc<Silence>>,
}

impl Notify {
    /// Keeps itself true from the feed, and tells `plugins` which configurations are in use.
    pub fn new(feed: &Feed, plugins: &Plugins) -> Self {
        let own = Self::default();
        let (of_channels, of_routes, of_silences) = (own.clone(), own.clone(), own.clone());
        let plugins = plugins.clone();
        feed.on(CHANNELS, move |change| of_channels.apply_channel(change, &plugins));
        feed.on(ROUTES, move |change| of_routes.apply_route(change));
        feed.on(SILENCES, move |change| of_silences.apply_silence(change));
        own
    }

    fn update(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn ask<T>(&self, question: impl FnOnce(&Memory) -> T) -> T {
        question(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn apply_channel(&self, change: &Change, plugins: &Plugins) {
        let id = ChannelId::from(change.key.as_str());
        let channel = change.read::<Channel>();
        in_use(plugins, &id, channel.as_ref());
        self.update(|memory| match channel {
            Some(channel) => drop(memory.channels.insert(id, Arc::new(channel))),
            None => drop(memory.channels.remove(&id)),
        });
    }

    fn apply_route(&self, change: &Change) {
        let id = RouteId::from(change.key.as_str());
        self.update(|memory| {
            memory.routes.retain(|route| route.route_id != id);
            memory.routes.extend(change.read::<Route>().map(Arc::new));
            sort(&mut memory.routes);
        });
    }

    fn apply_silence(&self, change: &Change) {
        let id = SilenceId::from(change.key.as_str());
        self.update(|memory| match change.read::<Silence>() {
            Some(silence) => drop(memory.silences.insert(id, Arc::new(silence))),
            None => drop(memory.silences.remove(&id)),
        });
    }

    /// Every channel, in no order.
    pub fn channels(&self) -> Vec<Arc<Channel>> {
        self.ask(|memory| memory.channels.values().cloned().collect())
    }

    /// A channel by its id, or by its name.
    pub fn channel(&self, id: &str) -> Option<Arc<Channel>> {
        self.ask(|memory| memory.channels.get(id).cloned()).or_else(|| self.channel_named(id))
    }

    /// A channel by its name.
    pub fn channel_named(&self, name: &str) -> Option<Arc<Channel>> {
        self.ask(|memory| memory.channels.values().find(|channel| channel.spec.name == name).cloned())
    }

    /// Every route, in the order in which they are tried.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.ask(|memory| memory.routes.clone())
    }

    /// A route by its id, or by its name.
    pub fn route(&self, id: &str) -> Option<Arc<Route>> {
        self.ask(|memory| {
            let by_id = memory.routes.iter().find(|route| route.route_id.as_str() == id);
            by_id.or_else(|| memory.routes.iter().find(|route| route.spec.name == id)).cloned()
        })
    }

    /// Every silence, in no order; those that have ended too.
    pub fn silences(&self) -> Vec<Arc<Silence>> {
        self.ask(|memory| memory.silences.values().cloned().collect())
    }

    /// A silence.
    pub fn silence(&self, id: &str) -> Option<Arc<Silence>> {
        self.ask(|memory| memory.silences.get(id).cloned())
    }

    /// A silence that covers the alert now.
    pub fn silence_of(&self, alert: &Told, now: Timestamp) -> Option<Arc<Silence>> {
        self.ask(|memory| memory.silences.values().find(|silence| silence.covers(alert, now)).cloned())
    }
}

fn sort(routes: &mut [Arc<Route>]) {
    routes.sort_by(|a, b| (a.spec.position, &a.spec.name).cmp(&(b.spec.position, &b.spec.name)));
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(on: &mut dyn AsConn, own: &Notify, plugins: &Plugins) -> anyhow::Result<()> {
    let (channels, mut routes, silences) = (
        channels::all(on).await?,
        routing::all(on).await?.into_iter().map(Arc::new).collect::<Vec<_>>(),
        silences::all(on).await?,
    );
    sort(&mut routes);
    channels.iter().for_each(|channel| in_use(plugins, &channel.channel_id, Some(channel)));
    own.update(|memory| {
        memory.channels = channels.into_iter().map(|channel| (channel.channel_id.clone(), Arc::new(channel))).collect();
        memory.routes = routes;
        memory.silences = silences.into_iter().map(|silence| (silence.silence_id.clone(), Arc::new(silence))).collect();
    });
    Ok(())
}

fn in_use(plugins: &Plugins, id: &ChannelId, channel: Option<&Channel>) {
    let used = channel.map(|channel| (channel.spec.notifier.as_str(), channel.spec.config_text()));
    plugins.note_use(&format!("channel:{id}"), used);
}
