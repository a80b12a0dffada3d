"""Models trained in one process, in threads and, by joblib, in processes."""
import numpy as np
from joblib import Parallel, delayed
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data, labels = load_iris(return_X_y=True)
assert cross_val_score(make_pipeline(StandardScaler(), LogisticRegression()), data, labels, cv=3).mean() > 0.9
assert RandomForestClassifier(n_estimators=10, n_jobs=2, random_state=0).fit(data, labels).score(data, labels) > 0.95
assert KMeans(3, n_init=2, random_state=0).fit(data).inertia_ > 0
assert PCA(2).fit_transform(data).shape == (150, 2)
inputs, target = make_regression(200, 5, random_state=0)
assert LinearRegression().fit(inputs, target).score(inputs, target) > 0.99
assert Parallel(n_jobs=2, prefer="threads")(delayed(np.sqrt)(n) for n in (4, 9)) == [2, 3]
assert Parallel(n_jobs=2, backend="multiprocessing")(delayed(np.sqrt)(n) for n in (4, 9)) == [2, 3]
print("fine")
