"""Trains the example model: handwritten digits (8 x 8 pixels, 0..16) to ten probabilities and a label, as ONNX.

The data is scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set (1,797 pictures, CC BY 4.0).
A perceptron with one hidden layer is trained on four fifths; the graph is written by hand so that every operator is plain.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1 onnx==1.23.2
    venv/bin/python train.py

writes digits.onnx and cases.json: 50 pictures the training never saw, each with its true digit and the probabilities expected.
"""

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = 7
CASES = 50
HERE = Path(__file__).parent


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(pixels, labels, test_size=0.2, random_state=SEED, stratify=labels)
    model = MLPClassifier(hidden_layer_sizes=(32,), max_iter=600, random_state=SEED, alpha=1e-3).fit(train_x / 16.0, train_y)
    print(f"accuracy on unseen pictures: {model.score(test_x / 16.0, test_y):.4f}")
    save(graph_of(model), HERE / "digits.onnx")
    write_cases(model, test_x, test_y)


def graph_of(model: MLPClassifier):
    weights = {
        "scale": np.array(16.0, dtype=np.float32),
        "w1": model.coefs_[0].astype(np.float32),
        "b1": model.intercepts_[0].astype(np.float32),
        "w2": model.coefs_[1].astype(np.float32),
        "b2": model.intercepts_[1].astype(np.float32),
    }
    nodes = [
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="purser-example")
    onnx_model.ir_version = 8
    checker.check_model(onnx_model, full_check=True)
    return onnx_model


def write_cases(model: MLPClassifier, pixels: np.ndarray, labels: np.ndarray) -> None:
    probabilities = model.predict_proba(pixels[:CASES] / 16.0)
    cases = [
        {"input": [int(value) for value in row], "label": int(label), "probabilities": [round(float(p), 5) for p in expected]}
        for row, label, expected in zip(pixels[:CASES], labels[:CASES], probabilities)
    ]
    (HERE / "cases.json").write_text(json.dumps(cases, separators=(",", ":")).replace("},{", "},\n{") + "\n")


if __name__ == "__main__":
    main()
