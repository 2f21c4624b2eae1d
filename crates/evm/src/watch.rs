//! An eye on a run that may take long: every so many steps it asks the caller whether the answer is still wanted.

use std::cell::Cell;

use alloy_primitives::{Address, Log, U256};
use revm::Inspector;
use revm::handler::FrameResult;
use revm::interpreter::{
    CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, InstructionResult, Interpreter,
};

use crate::machine::MachineContext;

/// How many steps go unasked: some tens of microseconds.
pub(crate) const STEPS: u32 = 1024;
const WORD_BYTES: usize = 32;

/// Passes everything on to another inspector, if there is one.
pub(crate) struct Watch<'i, 'w, 'a> {
    inner: Option<&'i mut (dyn Inspector<MachineContext<'a>> + 'i)>,
    wanted: &'w dyn Fn() -> bool,
    steps: u32,
    /// Bytes that the inner one's copies of the stack may still take, if it makes any.
    stack_bytes: Option<&'w Cell<usize>>,
    /// Set once and for all: callers of the frame that was ended must not go on either.
    pub stopped: bool,
}

impl<'i, 'w, 'a> Watch<'i, 'w, 'a> {
    pub fn new(inner: Option<&'i mut (dyn Inspector<MachineContext<'a>> + 'i)>, wanted: &'w dyn Fn() -> bool) -> Self {
        Self { inner, wanted, steps: 0, stack_bytes: None, stopped: false }
    }

    /// The inner one copies the stack at each step. The run ends with the step that leaves nothing of `left`.
    pub fn with_stacks(self, left: &'w Cell<usize>) -> Self {
        Self { stack_bytes: Some(left), ..self }
    }

    fn count_stack(&mut self, words: usize) {
        let Some(left) = self.stack_bytes else { return };
        left.set(left.get().saturating_sub(words.saturating_mul(WORD_BYTES)));
        self.stopped = self.stopped || left.get() == 0;
    }
}

impl<'a> Inspector<MachineContext<'a>> for Watch<'_, '_, 'a> {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>) {
        if let Some(inner) = &mut self.inner {
            inner.initialize_interp(interpreter, context);
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>) {
        self.steps = self.steps.saturating_add(1);
        if self.steps >= STEPS {
            self.steps = 0;
            self.stopped = self.stopped || !(self.wanted)();
        }
        self.count_stack(interpreter.stack.len());
        if self.stopped {
            interpreter.halt(InstructionResult::OutOfGas);
            return;
        }
        if let Some(inner) = &mut self.inner {
            inner.step(interpreter, context);
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>) {
        if let Some(inner) = &mut self.inner {
            inner.step_end(interpreter, context);
        }
    }

    fn log(&mut self, context: &mut MachineContext<'a>, log: Log) {
        if let Some(inner) = &mut self.inner {
            inner.log(context, log);
        }
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>, log: Log) {
        if let Some(inner) = &mut self.inner {
            inner.log_full(interpreter, context, log);
        }
    }

    fn frame_start(&mut self, context: &mut MachineContext<'a>, input: &mut FrameInput) -> Option<FrameResult> {
        self.inner.as_mut().and_then(|inner| inner.frame_start(context, input))
    }

    fn frame_end(&mut self, context: &mut MachineContext<'a>, input: &FrameInput, result: &mut FrameResult) {
        if let Some(inner) = &mut self.inner {
            inner.frame_end(context, input, result);
        }
    }

    fn call(&mut self, context: &mut MachineContext<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.inner.as_mut().and_then(|inner| inner.call(context, inputs))
    }

    fn call_end(&mut self, context: &mut MachineContext<'a>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if let Some(inner) = &mut self.inner {
            inner.call_end(context, inputs, outcome);
        }
    }

    fn create(&mut self, context: &mut MachineContext<'a>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.inner.as_mut().and_then(|inner| inner.create(context, inputs))
    }

    fn create_end(&mut self, context: &mut MachineContext<'a>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        if let Some(inner) = &mut self.inner {
            inner.create_end(context, inputs, outcome);
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        if let Some(inner) = &mut self.inner {
            inner.selfdestruct(contract, target, value);
        }
    }
}
