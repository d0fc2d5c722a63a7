"""The engines of a GPU: state, steps, stages of a flow, and the loop over the steps, without a transfer within one."""
