//! Constants' numbers where they lie in the graph: many nodes may share them, and nobody copies them.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use graph::{Data, Tensor};

/// A number of the elements that kernels read constants of.
pub trait Number: Sized + 'static {
    /// `None` where the data has other elements.
    fn of(data: &Data) -> Option<&[Self]>;
}

macro_rules! numbers {
    ($($kind:ident $number:ty),*) => {
        $(impl Number for $number {
            fn of(data: &Data) -> Option<&[Self]> {
                if let Data::$kind(values) = data { Some(values) } else { None }
            }
        })*
    };
}
numbers!(I16 i16, I32 i32, I64 i64, F32 f32);

/// All numbers of a constant.
pub struct Numbers<T> {
    tensor: Arc<Tensor>,
    of: PhantomData<T>,
}

impl<T: Number> Numbers<T> {
    /// `None` where the constant has other elements.
    pub fn new(tensor: &Arc<Tensor>) -> Option<Self> {
        T::of(tensor.data())?;
        Some(Self { tensor: Arc::clone(tensor), of: PhantomData })
    }
}

impl<T: Number> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        T::of(self.tensor.data()).unwrap_or_default()
    }
}
