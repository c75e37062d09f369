"""The exception types of the pipeline. Each message is one sentence: what is wrong, where, and what to do.

Those that only one room raises are in that room, below one of these:

    VideoPipelineError
        BrokenRules
        BudgetExceeded
        ConfigurationError
            UnfitPipeline
        LedgerError
            ChangeUndone
            LeaseLost
        MediaError
            NotAnImage
        NotRead
        RunFailed
        SandboxError
            SandboxPortTaken
        StorageError
        UpscalingError
        VendorError
            Forged
            JobFailed
            NoAnswer
            NotAccepted
                TooDear
            NotSent
                Stranger
                Unsendable
            ProviderError
                NotFetched
                    NeverFetched
            SubmitUnknown
            Undecided
                Ambiguous
            Unreadable
            UploadInterrupted
            UploadLost
            UploadRefused
        WeightsError
"""


class VideoPipelineError(Exception):
    """Base of every error the pipeline raises on purpose; its text can be shown to a user as it is."""


class ConfigurationError(VideoPipelineError):
    """A setting, a policy or a catalogue file is missing or wrong."""


class MediaError(VideoPipelineError):
    """A media file cannot be opened, decoded or written."""


class UpscalingError(VideoPipelineError):
    """The upscaler cannot run here, or cannot do what was asked."""


class StorageError(VideoPipelineError):
    """The object store refused or lost an operation."""


class LedgerError(VideoPipelineError):
    """The ledger cannot be reached, or a state change is not allowed."""


class BudgetExceeded(VideoPipelineError):
    """A spending ceiling would be passed, or the tier is frozen; nothing was bought."""


class VendorError(VideoPipelineError):
    """What a provider or platform did, or that nobody knows what it did; its adapter raises it."""


class ProviderError(VendorError):
    """A provider answered in a way that no state of the protocol covers."""
