//! What `wit/` looks like in a guest, generated. The shared packages once, then a module a kind that uses them.

#![expect(missing_docs, reason = "generated from wit/, where each item is described")]

pub(crate) mod host {
    wit_bindgen::generate!({
        inline: "
            package looma:every;
            world guest {
                import looma:plugin/types@0.1.0;
                import looma:host/log@0.1.0;
                import looma:host/clock@0.1.0;
                import looma:host/http@0.1.0;
                import looma:host/mail@0.1.0;
                import looma:host/kv@0.1.0;
                import looma:host/net@0.1.0;
            }
        ",
        path: ["../../wit/plugin", "../../wit/host"],
        world: "looma:every/guest",
        pub_export_macro: true,
        generate_all,
        generate_unused_types: true,
    });
}

/// Every plugin exports this one, and a kind's interface beside it. They are generated apart because an exported macro can
/// have its name once in a crate; `wit-component` puts the two halves of a world together again.
pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "
            package looma:half;
            world plugin-half { export looma:plugin/lifecycle@0.1.0; }
        ",
        path: ["../../wit/plugin"],
        world: "looma:half/plugin-half",
        with: { "looma:plugin/types@0.1.0": crate::bindings::host::looma::plugin::types },
        pub_export_macro: true,
    });
}

pub mod evaluator {
    wit_bindgen::generate!({
        inline: "
            package looma:half;
            world evaluator-half { export looma:alerting/evaluator@0.1.0; }
        ",
        path: ["../../wit/plugin", "../../wit/host", "../../wit/alerting"],
        world: "looma:half/evaluator-half",
        with: { "looma:plugin/types@0.1.0": crate::bindings::host::looma::plugin::types },
        pub_export_macro: true,
        generate_all,
    });
}

pub mod notifier {
    wit_bindgen::generate!({
        inline: "
            package looma:half;
            world notifier-half { export looma:notify/notifier@0.1.0; }
        ",
        path: ["../../wit/plugin", "../../wit/host", "../../wit/notify"],
        world: "looma:half/notifier-half",
        with: { "looma:plugin/types@0.1.0": crate::bindings::host::looma::plugin::types },
        pub_export_macro: true,
        generate_all,
    });
}

pub mod strategy {
    wit_bindgen::generate!({
        inline: "
            package looma:half;
            world strategy-half { export looma:discovery/strategy@0.1.0; }
        ",
        path: ["../../wit/plugin", "../../wit/host", "../../wit/discovery"],
        world: "looma:half/strategy-half",
        with: { "looma:plugin/types@0.1.0": crate::bindings::host::looma::plugin::types },
        pub_export_macro: true,
        generate_all,
    });
}

pub mod matcher {
    wit_bindgen::generate!({
        inline: "
            package looma:half;
            world matcher-half { export looma:talent/matcher@0.1.0; }
        ",
        path: ["../../wit/plugin", "../../wit/host", "../../wit/talent"],
        world: "looma:half/matcher-half",
        with: { "looma:plugin/types@0.1.0": crate::bindings::host::looma::plugin::types },
        pub_export_macro: true,
        generate_all,
    });
}
