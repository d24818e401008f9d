"""Train scANVI's classifier jointly or in turns with the networks, and weigh its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch.nn.functional import cross_entropy

from scarches_plus import _arguments as check
from scarches_plus.train._estimation._eval_mode import evaluated
from scarches_plus.train._estimation._train_classifier import label_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor
    from torch.nn import Parameter

Schedule = Literal["joint", "alternating"]
_MINIBATCH = 128
_OWN = "classifier."


class AlternatingMixin:
    """Offers scANVI's two schedules to its training plan.

    Parameters
    ----------
    *args, **kwargs
        Of the plan.
    schedule
        ``"joint"`` (Algorithm 1, scvi-tools): every step trains all networks on the ELBO plus the classification loss.
        ``"alternating"`` (Algorithm 2): steps train all networks but the classifier on the ELBO; after each epoch the
        classifier alone trains on the labelled cells, whose latent means stand still meanwhile. On one process only.
    classifier_epochs
        Epochs of the classifier after each epoch of the others.
    classifier_lr
        Learning rate of the classifier in these epochs.
    label_balance
        How cells of different labels count in the classification loss: a label of ``n`` cells counts
        ``n ** (1 - label_balance)`` in all. 0: every cell alike (scvi-tools); 1: every label alike.
    """

    def __init__(
        self,
        *args: Any,
        schedule: Schedule = "joint",
        classifier_epochs: int = 1,
        classifier_lr: float = 1e-3,
        label_balance: float = 0.0,
        **kwargs: Any,
    ) -> None:
        check.choice("schedule", schedule, get_args(Schedule))
        classifier_epochs = check.whole("classifier_epochs", classifier_epochs, least=1)
        check.number("classifier_lr", classifier_lr, above=0)
        check.number("label_balance", label_balance, least=0, most=1)
        super().__init__(*args, **kwargs)
        self._label_balance = label_balance
        self._alternates = schedule == "alternating"
        self._classifier_epochs, self._classifier_lr = classifier_epochs, classifier_lr
        self._classifier_adam: torch.optim.Adam | None = None
        self._stored_adam: dict[str, Any] | None = None
        if self._alternates:
            self.loss_kwargs["classification_ratio"] = 0.0  # type: ignore[attr-defined]

    def on_train_start(self) -> None:
        """Weigh labels, and refuse several processes, whose classifiers would go apart.

        Raises
        ------
        ValueError
            If there are several.
        """
        super().on_train_start()  # type: ignore[misc]
        if self._alternates and self.trainer.world_size > 1:  # type: ignore[attr-defined]
            message = "schedule='alternating' runs on one process; take schedule='joint', or devices=1"
            raise ValueError(message)
        if hasattr(self.module, "set_label_weights"):  # type: ignore[attr-defined]
            self.module.set_label_weights(self._label_weights())  # type: ignore[attr-defined]

    def _label_weights(self) -> Tensor | None:
        if not self._label_balance:
            return None
        with torch.random.fork_rng(devices=[]):  # a loader draws from the global stream
            labels = [minibatch["labels"].flatten().long() for minibatch in self._labelled_minibatches()]
        if not labels:
            return None
        n_codes = self.module.unlabeled_code  # type: ignore[attr-defined]
        return label_weights(torch.cat(labels), self._label_balance, n_codes).to(self.device)  # type: ignore[attr-defined]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep the ELBO's gradient from the classifier."""
        if self._alternates:
            for parameter in self._classifier_parameters():
                parameter.grad = None
        super().on_before_optimizer_step(optimizer)  # type: ignore[misc]

    def on_train_epoch_end(self) -> None:
        """Train the classifier."""
        if self._alternates:
            self._train_classifier()
        super().on_train_epoch_end()  # type: ignore[misc]

    def _train_classifier(self) -> None:
        parameters = list(self._classifier_parameters())
        if not parameters:  # surgery left it as it is
            return
        z, labels = self._labelled_means()
        if not len(z):
            return
        module = self.module  # type: ignore[attr-defined]
        classifier, label_loss = module.classifier, getattr(module, "label_loss", cross_entropy)
        optimizer = self._optimizer_of(parameters)
        for _ in range(self._classifier_epochs):
            total, n_seen = torch.zeros((), device=z.device), 0
            for rows in torch.randperm(len(z), device=z.device).split(_MINIBATCH):
                if len(rows) < 2 <= len(z):  # no statistics of a batch of one
                    continue
                loss = label_loss(classifier(z[rows]), labels[rows])
                for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                    parameter.grad = gradient
                optimizer.step()
                optimizer.zero_grad()
                total += loss.detach() * len(rows)
                n_seen += len(rows)
        self.log("classifier_loss_train", total / n_seen, on_step=False, on_epoch=True, batch_size=len(z))  # type: ignore[attr-defined]

    @torch.no_grad()
    def _labelled_means(self) -> tuple[Tensor, Tensor]:
        module = self.module  # type: ignore[attr-defined]
        means, labels = [torch.empty(0, device=self.device)], [torch.empty(0, dtype=torch.long, device=self.device)]  # type: ignore[attr-defined]
        with evaluated(module), torch.random.fork_rng(devices=[]):
            for minibatch in self._labelled_minibatches():
                tensors = {name: values.to(self.device) for name, values in minibatch.items()}  # type: ignore[attr-defined]
                means.append(module.inference(**module._get_inference_input(tensors))["qz"].loc)
                labels.append(tensors["labels"].flatten().long())
        return torch.cat(means), torch.cat(labels)

    def _labelled_minibatches(self) -> Iterable[dict[str, Tensor]]:
        """Return minibatches of labelled cells, none if no cell has a label."""
        return getattr(self.trainer.train_dataloader, "dataloaders", [()])[-1]  # type: ignore[attr-defined, no-any-return]

    def _classifier_parameters(self) -> Iterator[Parameter]:
        entries = self._entries  # type: ignore[attr-defined]
        for name, parameter in self.module.classifier.named_parameters():  # type: ignore[attr-defined]
            if entries is None or f"{_OWN}{name}" in entries:
                yield parameter

    def _optimizer_of(self, parameters: list[Parameter]) -> torch.optim.Adam:
        if self._classifier_adam is None:
            self._classifier_adam = torch.optim.Adam(parameters, lr=self._classifier_lr, eps=0.01)
            if self._stored_adam is not None:
                self._classifier_adam.load_state_dict(self._stored_adam)
        return self._classifier_adam

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the classifier's optimiser."""
        super().on_save_checkpoint(checkpoint)  # type: ignore[misc]
        if self._classifier_adam is not None:
            checkpoint["classifier_adam"] = self._classifier_adam.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the classifier's optimiser along."""
        super().on_load_checkpoint(checkpoint)  # type: ignore[misc]
        self._stored_adam = checkpoint.get("classifier_adam")
