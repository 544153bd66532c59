//! Which functions executors know by name: those of DataFusion, and no others. A function travels as its name, so one that
//! only the session has must be refused while its name can still be said.

use datafusion::{
    execution::SessionStateDefaults,
    logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF},
};
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, LazyLock},
};

/// Functions by name and alias.
pub(crate) struct Functions {
    pub(crate) scalar: HashMap<String, Arc<ScalarUDF>>,
    pub(crate) higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    pub(crate) aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub(crate) window: HashMap<String, Arc<WindowUDF>>,
}

static BUILT_IN: LazyLock<Functions> = LazyLock::new(|| {
    let mut functions = Functions {
        scalar: HashMap::new(),
        higher_order: HashMap::new(),
        aggregate: HashMap::new(),
        window: HashMap::new(),
    };
    macro_rules! register {
        ($all:expr, $into:expr) => {
            for function in $all {
                for alias in function.aliases() {
                    $into.insert(alias.clone(), Arc::clone(&function));
                }
                $into.insert(function.name().to_owned(), function);
            }
        };
    }
    register!(SessionStateDefaults::default_scalar_functions(), functions.scalar);
    register!(SessionStateDefaults::default_higher_order_functions(), functions.higher_order);
    register!(SessionStateDefaults::default_aggregate_functions(), functions.aggregate);
    register!(SessionStateDefaults::default_window_functions(), functions.window);
    functions
});

macro_rules! known {
    ($(#[$doc:meta])* $name:ident, $field:ident, $function:ty) => {
        $(#[$doc])*
        pub(super) fn $name(&self, function: &$function) -> bool {
            // The type behind a function. Instances of one may differ (some hold the session's time zone): they are made
            // again from their name and the session's settings.
            let type_of = |f: &$function| Any::type_id(f.inner().as_ref());
            self.$field.get(function.name()).is_some_and(|known| type_of(known) == type_of(function))
        }
    };
}

impl Functions {
    /// DataFusion's.
    pub(crate) fn built_in() -> &'static Self {
        &BUILT_IN
    }

    known!(
        /// Whether executors have this scalar function, and not another one of its name.
        has_scalar,
        scalar,
        ScalarUDF
    );
    known!(
        /// The same of a function that takes lambdas.
        has_higher_order,
        higher_order,
        HigherOrderUDF
    );
    known!(
        /// The same of an aggregate.
        has_aggregate,
        aggregate,
        AggregateUDF
    );
    known!(
        /// The same of a window function.
        has_window,
        window,
        WindowUDF
    );
}
