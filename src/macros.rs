//! Macros for code that several modules would repeat.

/// Implements a trait for `Arc` and `Box` of its implementations. Lists every method of the trait:
/// the others before the async ones.
macro_rules! forward_pointers {
    ($trait:ident { $($methods:tt)* }) => {
        forward_pointers!(std::sync::Arc, $trait { $($methods)* });
        forward_pointers!(std::boxed::Box, $trait { $($methods)* });
    };
    ($pointer:path, $trait:ident {
        $(fn $method:ident(&self $(, $argument:ident: $type:ty)*) -> $output:ty;)*
        $(async fn $async:ident(&self $(, $given:ident: $kind:ty)*) -> $result:ty;)*
    }) => {
        const _: () = {
            use $pointer as Pointer;

            #[async_trait::async_trait]
            impl<T: $trait + ?Sized> $trait for Pointer<T> {
                $(fn $method(&self $(, $argument: $type)*) -> $output {
                    (**self).$method($($argument),*)
                })*

                $(async fn $async(&self $(, $given: $kind)*) -> $result {
                    (**self).$async($($given),*).await
                })*
            }
        };
    };
}

/// Defines an error that wraps its cause.
macro_rules! wrapping_error {
    ($(#[$attribute:meta])* $name:ident, $message:literal) => {
        $(#[$attribute])*
        #[derive(Debug)]
        pub struct $name(Box<dyn std::error::Error + Send + Sync>);

        impl $name {
            /// Wraps the cause.
            #[must_use]
            pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
                Self(source.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($message)
            }
        }

        impl std::error::Error for $name {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&*self.0)
            }
        }
    };
}

/// Gives a service access to its inner service, as in tower-http.
macro_rules! inner_service {
    ($service:ident) => {
        impl<S> $service<S> {
            /// Returns a reference to the inner service.
            #[must_use]
            pub fn get_ref(&self) -> &S {
                &self.inner
            }

            /// Returns a mutable reference to the inner service.
            #[must_use]
            pub fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }

            /// Returns the inner service.
            #[must_use]
            pub fn into_inner(self) -> S {
                self.inner
            }
        }
    };
}

/// Makes a type an error with a fixed message.
macro_rules! fixed_error {
    ($name:ident, $message:literal) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($message)
            }
        }

        impl std::error::Error for $name {}
    };
}

/// Implements `Debug` for a type whose content must not be printed.
macro_rules! opaque_debug {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}
