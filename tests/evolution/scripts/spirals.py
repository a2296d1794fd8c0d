"""A small network that learns to tell spirals apart; nothing in it knows of any search."""

import os

import numpy as np

lr = 0.02
hidden = 6
batch_size = 100
momentum = 0.0
weight_decay = 0.01
init_scale = 0.05


def spirals(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    radius = rng.uniform(0.1, 1.0, count)
    angle = 4 * radius + labels * 2 * np.pi / 3 + rng.normal(0, 0.12, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), labels


def forward(x, weights):
    inner = np.tanh(x @ weights[0] + weights[1])
    logits = inner @ weights[2] + weights[3]
    logits -= logits.max(1, keepdims=True)
    return inner, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


rng = np.random.default_rng(int(os.environ.get("EVORESEARCH_SEED", "0")))
x, y = spirals(2000, 1)
sizes = [(2, hidden), (1, hidden), (hidden, 3), (1, 3)]
weights = [rng.normal(0, init_scale, size) for size in sizes]
velocity = [np.zeros(size) for size in sizes]
for step in range(1500):
    rows = rng.integers(0, len(x), batch_size)
    inner, probabilities = forward(x[rows], weights)
    probabilities[np.arange(batch_size), y[rows]] -= 1
    back = probabilities @ weights[2].T * (1 - inner**2)
    pairs = [(x[rows].T, back), (np.ones((1, batch_size)), back), (inner.T, probabilities)]
    grads = [a @ b / batch_size for a, b in [*pairs, (np.ones((1, batch_size)), probabilities)]]
    for w, v, g in zip(weights, velocity, grads):
        v[:] = momentum * v - lr * (g + weight_decay * w)
        w += v
x_test, y_test = spirals(2000, 2)
probabilities = forward(x_test, weights)[1]
print("---")
print(f"val_loss: {-np.log(probabilities[np.arange(len(y_test)), y_test] + 1e-12).mean():.5f}")
print(f"val_accuracy: {(probabilities.argmax(1) == y_test).mean():.4f}")
