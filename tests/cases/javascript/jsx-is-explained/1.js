const element = <div>hello</div>;
