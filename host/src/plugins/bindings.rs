//! What the contract's shared packages look like in Rust, generated from `wit/`. The worlds of `kinds/` use these same types.

wasmtime::component::bindgen!({
    inline: "
        package looma:every;
        world host {
            import looma:plugin/types@0.1.0;
            import looma:host/log@0.1.0;
            import looma:host/clock@0.1.0;
            import looma:host/http@0.1.0;
            import looma:host/mail@0.1.0;
            import looma:host/kv@0.1.0;
            import looma:host/net@0.1.0;
        }
    ",
    path: ["../wit/plugin", "../wit/host"],
    world: "looma:every/host",
    imports: {
        "looma:host/http@0.1.0": async | trappable,
        "looma:host/mail@0.1.0": async | trappable,
        "looma:host/kv@0.1.0": async | trappable,
        "looma:host/net@0.1.0": async | trappable,
        default: trappable,
    },
    additional_derives: [PartialEq],
});
