"""Models and the devices that run them; the only importer of onnxruntime."""
