"""Tells errors of memory from others, whoever raised them."""

# Out-of-memory errors without a type of their own: the CPU's allocator and oneDNN; cuDNN, which tries its kernels
# until none fits; cuBLAS, pinned memory and Triton.
_WORDS = (
    "can't allocate memory",
    "could not create a ",
    "unable to find an engine",
    "ALLOC_FAILED",
    "out of memory",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory, the device's or the host's, ran out."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _WORDS)
