FIGURES = {"strategies": 0, "clcvae": 0}
